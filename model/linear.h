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
  LinearImpl(int64_t in, int64_t out, bool bias = true);

  void reset() override;
  at::Tensor forward(const at::Tensor& input);  // [..., in] -> [..., out]

 private:
  int64_t in_;
  int64_t out_;
  bool has_bias_;
  at::Tensor weight_;  // [out, in]
  at::Tensor bias_;    // [out], or undefined
};

using Linear = torch::nn::ModuleHolder<LinearImpl>;

// What the layer computes, for a weight that another one holds.
at::Tensor linear_product(const at::Tensor& input, const at::Tensor& weight,
                          const std::optional<at::Tensor>& bias = std::nullopt);

}  // namespace lockstep::model
