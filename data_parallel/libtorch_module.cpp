// Part of the module liblockstep_cuda.so (device/cuda_module.cpp): LibTorch's scatter
// and gather link CUDA.
#include "data_parallel/libtorch_module.h"

#include <torch/nn/parallel/data_parallel.h>

at::Tensor lockstep_libtorch_data_parallel(const lockstep::Network& model,
                                           const at::Tensor& input,
                                           const std::vector<at::Device>& devices) {
  return torch::nn::parallel::data_parallel(model, input, devices);
}
