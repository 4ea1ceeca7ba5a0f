// Lab 10: batch norm over ranks. README.md beside this file says what is asked.
//
// Write the two functions; the real training runs on them. In training each calls
// sum_over_ranks(tensor) exactly once.
#include "labs/sync_batch_norm.h"

#include <ATen/ATen.h>

#include <stdexcept>

namespace lockstep::labs {
namespace {

// Normalises x [n, channels, height, width] by the mean and the (biased) variance of
// its channel in the batch of all ranks, whose n may differ and may be 0; then by the
// layer's weight and bias, and takes the running statistics along.
//
// In evaluation (layer.training is false) the running statistics take the batch's
// place; they stay as they are, and nobody sends anything.
at::Tensor forward(const at::Tensor& x, const BatchNormLayer& layer,
                   const SumOverRanks& sum_over_ranks, Tensors& kept) {
  throw std::logic_error("lab 10: forward is not written yet");
}

// dy is the gradient of this rank's y, `kept` what forward put there. The gradient of x
// is that of the whole batch's loss. Those of weight and bias are this rank's own part:
// the reducer brings the ranks' together.
BatchNormGradients backward(const at::Tensor& dy, const BatchNormLayer& layer,
                            const SumOverRanks& sum_over_ranks, const Tensors& kept) {
  throw std::logic_error("lab 10: backward is not written yet");
}

const Registered student(sync_batch_norms(), "student", [] {
  return SyncBatchNorm{&forward, &backward};
});

}  // namespace
}  // namespace lockstep::labs
