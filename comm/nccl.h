// NCCL: collectives between CUDA devices. Needs the module that links it
// (device/cuda.h) and throws std::runtime_error where that did not load.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <memory>
#include <vector>

#include "comm/process_group.h"
#include "comm/rendezvous.h"

namespace lockstep::comm {

// c10d's NCCL process group of ranks that are processes, for tensors on `device`.
// Several ranks may share a device where each has an NCCL_HOSTID of its own.
std::shared_ptr<ProcessGroup> make_nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                        int rank, int world_size, at::Device device,
                                        std::chrono::milliseconds timeout,
                                        PeerWatchPtr watch = nullptr);

// Between the devices of one process (ncclCommInitAll, once for each set of them).
// Tensor i lies on device i; all of one type and size, contiguous. In place, and queued
// on each device's current stream.
void nccl_broadcast(const std::vector<at::Tensor>& tensors);  // from the first
void nccl_reduce(const std::vector<at::Tensor>& tensors);     // the sum, to the first

}  // namespace lockstep::comm
