// Batch norm in training whose mean and variance may be those of the global batch. A
// layer then talks to the other ranks once in a forward pass (how many values, their
// sums) and once in a backward pass (the sums of the gradient, where its input wants
// one). Ranks may have batches of different sizes, and one may have none.
//
// How numbers are summed over ranks is the caller's: this room knows no ranks. The
// gradients of weight and bias are this rank's own, as in PyTorch's SyncBatchNorm: who
// averages gradients averages these, too.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>

namespace lockstep::model {

// `sums` becomes its sum over ranks, in place, the same bits on all. Every rank calls
// it in the same order: that of the layers in a forward pass, and autograd's in a
// backward pass, which is the same wherever the graph is.
using SumOverRanks = std::function<void(const at::Tensor& sums)>;

struct NormState {
  at::Tensor weight, bias;
  at::Tensor running_mean, running_var;
  double momentum;
  double eps;
};

// Images [N, channels, H, W] to the same. The running statistics, equal on all ranks
// before it, move to the batch's and stay equal; nothing moves where no rank has an
// image. Without `sum`: of this rank's images alone.
at::Tensor batch_norm_in_training(const at::Tensor& images, const NormState& state,
                                  const SumOverRanks& sum);

// Every BatchNorm in the network, however deep, is over all ranks from here on. Returns
// how many there are.
int64_t sync_batch_norms(const torch::nn::Module& network, const SumOverRanks& sum);

}  // namespace lockstep::model
