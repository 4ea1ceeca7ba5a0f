// The module liblockstep_cuda.so, with comm/nccl_module.cpp the only code that links
// CUDA and NCCL. Opening it brings libtorch_cuda into the process; see cuda.h.
#include "device/cuda_module.h"

#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>

int lockstep_cuda_device_count(char* reason, int reason_size) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    std::snprintf(reason, static_cast<size_t>(reason_size), "%s",
                  cudaGetErrorString(status));
    return 0;
  }
  std::snprintf(reason, static_cast<size_t>(reason_size), "the driver names %d", count);
  return count;
}

void lockstep_cuda_device_name(int device, char* name, int name_size) {
  cudaDeviceProp properties{};
  const bool known = cudaGetDeviceProperties(&properties, device) == cudaSuccess;
  std::snprintf(name, static_cast<size_t>(name_size), "%s",
                known ? properties.name : "");
}

void lockstep_cuda_pci_bus_id(int device, char* id, int id_size) {
  if (cudaDeviceGetPCIBusId(id, id_size, device) != cudaSuccess) id[0] = '\0';
}

void lockstep_cuda_watch(void (*allocated)(int device, size_t address, size_t bytes),
                         void (*freed)(int device, size_t address)) {
  using c10::CachingDeviceAllocator::TraceEntry;
  at::globalContext().lazyInitDevice(at::kCUDA);
  c10::cuda::CUDACachingAllocator::attachAllocatorTraceTracker(
      [=](const TraceEntry& entry) {
        if (entry.action_ == TraceEntry::ALLOC) {
          allocated(entry.device_, entry.addr_, entry.size_);
        } else if (entry.action_ == TraceEntry::FREE_REQUESTED) {
          freed(entry.device_, entry.addr_);
        }
      });
}

void lockstep_cuda_limit(int device, int64_t bytes) {
  at::globalContext().lazyInitDevice(at::kCUDA);
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) return;
  const double whole = static_cast<double>(properties.totalGlobalMem);
  c10::cuda::CUDACachingAllocator::setMemoryFraction(
      std::min(1.0, static_cast<double>(bytes) / whole),
      static_cast<c10::DeviceIndex>(device));
}
