// The passes over its images that batch norm in training is made of: ours
// (batch_norm_kernels.h) on channels-last images in fp32 on a CPU with AVX-512, as
// exact there as LibTorch's are on plain images, and quicker; elsewhere LibTorch's.
//
// What lies between two passes, a few numbers a channel, is sync_batch_norm.cpp's.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep::model::batch_norm {

// Whether they are ours.
bool suits_kernels(const at::Tensor& images, const at::Tensor& weight);

// Images are [N, channels, H, W], N may be 0. A row is a value of each channel.
int64_t rows_of(const at::Tensor& images);

// Of each channel: the mean, and the sum of squared distances from it. fp64
// [2, channels].
at::Tensor moments(const at::Tensor& images, const at::Tensor& weight);

// What images are normalised by: [channels] each.
struct Scale {
  at::Tensor mean;      // of the images' type
  at::Tensor variance;  // fp64
  at::Tensor weight;
  double eps;

  at::Tensor inverse() const;  // 1 / sqrt(variance + eps), of the images' type
};
at::Tensor normalise(const at::Tensor& images, const Scale& scale,
                     const at::Tensor& bias);

// Of each channel: the sums of dy and of dy * (x - mean). fp64 [2, channels].
at::Tensor gradient_sums(const at::Tensor& dy, const at::Tensor& images,
                         const Scale& scale);

// (dy - offset - (x - mean) * slope) * weight * inverse; fp64 [channels] both.
at::Tensor input_gradient(const at::Tensor& dy, const at::Tensor& images,
                          const Scale& scale, const at::Tensor& offset,
                          const at::Tensor& slope);

}  // namespace lockstep::model::batch_norm
