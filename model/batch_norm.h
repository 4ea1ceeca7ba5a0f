// The layer torch::nn::BatchNorm2d is. While it trains on channels-last images in fp32
// on a CPU with AVX-512, its sums are ours (batch_norm_kernels.h): as exact there as
// LibTorch's are on plain images, and quicker. Everywhere else it is LibTorch's.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/pimpl.h>

namespace lockstep::model {

class BatchNormImpl : public torch::nn::BatchNormImplBase<2, BatchNormImpl> {
 public:
  explicit BatchNormImpl(int64_t channels)
      : BatchNormImplBase(torch::nn::BatchNormOptions(channels)) {}

  at::Tensor forward(const at::Tensor& input);  // [N, channels, H, W]

 protected:
  void _check_input_dim(const at::Tensor& input) override;
};

using BatchNorm = torch::nn::ModuleHolder<BatchNormImpl>;

}  // namespace lockstep::model
