#include "model/batch_norm.h"

#include "model/batch_norm_passes.h"

namespace lockstep::model {

at::Tensor BatchNormImpl::forward(const at::Tensor& input) {
  const bool ours = sum_ || (batch_norm::suits_kernels(input, weight) &&
                             batch_norm::rows_of(input) > 1);
  if (!is_training() || !ours) return BatchNormImplBase::forward(input);
  _check_input_dim(input);
  TORCH_CHECK(input.size(1) == weight.size(0), "batch norm of ", weight.size(0),
              " channels, and the images have ", input.size(1));
  num_batches_tracked += 1;
  return batch_norm_in_training(
      input,
      {weight, bias, running_mean, running_var, *options.momentum(), options.eps()},
      sum_);
}

// As torch/csrc/api/src/nn/modules/batchnorm.cpp.
void BatchNormImpl::_check_input_dim(const at::Tensor& input) {
  TORCH_CHECK(input.dim() == 4, "expected 4D input (got ", input.dim(), "D input)");
}

}  // namespace lockstep::model
