// The layer torch::nn::Conv2d is, with the same parameters drawn in the same order, and
// padded so that a stride of 1 keeps the image's size.
//
// In fp32 on a CPU with AVX-512 its outputs are channels-last whatever comes in, so
// that a network of them turns its images once, at the first layer: there oneDNN needs
// no copies in a layout of its own around each product. And where winograd.h serves, it
// takes half the time. Everywhere else it is at::conv2d().
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace lockstep::model {

class ConvImpl : public torch::nn::Cloneable<ConvImpl> {
 public:
  ConvImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride, bool bias);

  void reset() override;
  // [N, in, H, W] -> [N, out, H/stride, W/stride]
  at::Tensor forward(const at::Tensor& input);

 private:
  int64_t in_;
  int64_t out_;
  int64_t kernel_;  // odd
  int64_t stride_;
  bool has_bias_;
  at::Tensor weight_;  // [out, in, kernel, kernel]
  at::Tensor bias_;    // [out], or undefined
};

using Conv = torch::nn::ModuleHolder<ConvImpl>;

}  // namespace lockstep::model
