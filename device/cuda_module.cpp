// The module liblockstep_cuda.so: the only code that links CUDA and NCCL. Opening it
// brings libtorch_cuda into the process; see cuda.h.
#include <cuda_runtime_api.h>

#include <cstdio>

extern "C" int lockstep_cuda_device_count(char* reason, int reason_size) {
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
