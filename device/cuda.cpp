#include "device/cuda.h"

#include <dlfcn.h>

#include <array>

namespace lockstep::device {
namespace {

CudaDevices look() {
  if (dlopen("libcuda.so.1", RTLD_LAZY) == nullptr)
    return {0, "no CUDA driver, libcuda.so.1"};
  // RTLD_GLOBAL: libtorch_cuda registers its kernels with the libtorch_cpu already
  // loaded.
  void* module = dlopen("liblockstep_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr)
    return {0, std::string("the CUDA module did not load: ") + dlerror()};
  // The module's one function: cuda_module.cpp.
  using Count = int(char* reason, int reason_size);
  auto* count = reinterpret_cast<Count*>(dlsym(module, "lockstep_cuda_device_count"));
  if (count == nullptr) return {0, "liblockstep_cuda.so is of another build"};
  std::array<char, 256> reason{};
  const int devices = count(reason.data(), static_cast<int>(reason.size()));
  return {devices, reason.data()};
}

}  // namespace

CudaDevices cuda_devices() {
  static const CudaDevices devices = look();
  return devices;
}

}  // namespace lockstep::device
