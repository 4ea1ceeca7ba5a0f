// The layer torch::nn::Linear is, with the same parameters drawn in the same order, on
// a quicker matrix product: for fp32 on the CPU it asks oneDNN, which takes whatever
// the processor offers. LibTorch itself asks MKL, which on processors that are not
// Intel's reaches half of that.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace lockstep::model {

class LinearImpl : public torch::nn::Cloneable<LinearImpl> {
 public:
  LinearImpl(int64_t in, int64_t out);

  void reset() override;
  at::Tensor forward(const at::Tensor& input);  // [n, in] -> [n, out]

 private:
  int64_t in_;
  int64_t out_;
  at::Tensor weight_;  // [out, in]
  at::Tensor bias_;    // [out]
};

using Linear = torch::nn::ModuleHolder<LinearImpl>;

}  // namespace lockstep::model
