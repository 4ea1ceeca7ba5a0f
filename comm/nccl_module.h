// What liblockstep_cuda.so exports for this room: included on both sides of its dlopen,
// so that they agree on the types. Errors are exceptions, as everywhere in LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

extern "C" {

// Owned by the caller: an intrusive_ptr let go.
c10d::Backend* lockstep_make_nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                  int rank, int size, at::Device device,
                                  std::chrono::milliseconds timeout);
// Frees the communicators. Collectives under way end first, which needs the peers;
// where an exception is on its way they are broken off instead. Throws nothing.
void lockstep_close_nccl(c10d::Backend& backend) noexcept;

void lockstep_nccl_broadcast(const std::vector<at::Tensor>& tensors);
void lockstep_nccl_reduce(const std::vector<at::Tensor>& tensors);

}  // extern "C"
