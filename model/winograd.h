// A 3x3 convolution of stride 1 and padding 1 in fp32 on the CPU, with 16 products
// where at::conv2d() takes 36 (winograd_kernels.h): forward, and the two halves of
// backward. It rounds no worse than the plain sum does.
//
// Not for every shape: ask suits_winograd() first.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep::model {

// Whether the processor, the types and the numbers of channels are such that it pays.
bool suits_winograd(const at::Tensor& input, const at::Tensor& weight);

// [N, in, H, W] and [out, in, 3, 3] to [N, out, H, W]. What comes out is channels-last.
at::Tensor winograd_convolution(const at::Tensor& input, const at::Tensor& weight);
// The gradient of the input, of the output's.
at::Tensor winograd_input_gradient(const at::Tensor& gradient,
                                   const at::Tensor& weight);
// The gradient of the weight, laid out as the weight is.
at::Tensor winograd_weight_gradient(const at::Tensor& input, const at::Tensor& gradient,
                                    const at::Tensor& weight);

}  // namespace lockstep::model
