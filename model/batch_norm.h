// The layer torch::nn::BatchNorm2d is. While it trains on images for which there are
// kernels (batch_norm_passes.h), its sums are ours: as exact as LibTorch's, and
// quicker; and wherever it trains over all ranks' images (sync_batch_norm.h). Else it
// is LibTorch's.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/pimpl.h>

#include <utility>

#include "model/sync_batch_norm.h"

namespace lockstep::model {

class BatchNormImpl : public torch::nn::BatchNormImplBase<2, BatchNormImpl> {
 public:
  explicit BatchNormImpl(int64_t channels)
      : BatchNormImplBase(torch::nn::BatchNormOptions(channels)) {}

  at::Tensor forward(const at::Tensor& input);  // [N, channels, H, W]

  // In training its statistics are of all ranks' images from here on; in evaluation it
  // stays this rank's own affair.
  void sync(SumOverRanks sum) { sum_ = std::move(sum); }

 protected:
  void _check_input_dim(const at::Tensor& input) override;

 private:
  SumOverRanks sum_;  // none: of this rank's images
};

using BatchNorm = torch::nn::ModuleHolder<BatchNormImpl>;

}  // namespace lockstep::model
