// Part of the module liblockstep_cuda.so (device/cuda_module.cpp): the code that links
// NCCL.
#include "comm/nccl_module.h"

#include <torch/csrc/cuda/nccl.h>

#include <exception>
#include <iostream>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

c10d::Backend* lockstep_make_nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                  int rank, int size, at::Device device,
                                  std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
  group->setBoundDeviceId(device);
  // Now, so that a rank that cannot connect fails here and not in the first step.
  group->eagerConnectSingleDevice(device);
  return group.release();
}

void lockstep_close_nccl(c10d::Backend& backend) noexcept {
  try {
    if (std::uncaught_exceptions() > 0) {
      backend.abort();
    } else {
      backend.shutdown();
    }
  } catch (const std::exception& error) {
    std::cerr << "NCCL did not close well: " << error.what() << "\n";
  }
}

void lockstep_nccl_broadcast(const std::vector<at::Tensor>& tensors) {
  torch::cuda::nccl::broadcast(tensors);
}

void lockstep_nccl_reduce(const std::vector<at::Tensor>& tensors) {
  at::Tensor sum = tensors.front();
  torch::cuda::nccl::reduce(tensors, sum, /*root=*/0);
}
