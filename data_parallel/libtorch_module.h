// What liblockstep_cuda.so exports for this room: included on both sides of its dlopen,
// so that they agree on the types.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/networks.h"

extern "C" {

// torch::nn::parallel::data_parallel(): the network's outputs for the whole input, on
// the first device, with autograd history. Errors are LibTorch's exceptions.
// NOLINTNEXTLINE: C++ types behind a C name; both sides are of one build.
at::Tensor lockstep_libtorch_data_parallel(const lockstep::Network& model,
                                           const at::Tensor& input,
                                           const std::vector<at::Device>& devices);

}  // extern "C"
