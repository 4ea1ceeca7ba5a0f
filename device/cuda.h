// Whether this machine has CUDA devices, and the way to the code that uses them.
// Everything that links CUDA and NCCL is one module, liblockstep_cuda.so, opened only
// where a driver is: programs start in 0.2 s instead of 0.35 s, and need neither.
#pragma once

#include <string>
#include <vector>

namespace lockstep::device {

struct CudaDevices {
  int count = 0;
  // One line on why there are not more: "no CUDA driver, libcuda.so.1".
  std::string reason;
};

// Opens the module the first time; after that a constant. Thread-safe.
CudaDevices cuda_devices();

// "NVIDIA H200". Throws std::runtime_error where there is no module to ask.
std::string cuda_device_name(int device);

// Where each device sits in the machine, "0000:65:00.0": its name among those who count
// devices otherwise than CUDA.
std::vector<std::string> cuda_pci_bus_ids();

// What the module exports under `name`; never null. Throws std::runtime_error where
// there is no module to ask, or it is of another build.
void* cuda_symbol(const char* name);

// The same, as a function; Function is its declaration's type.
template <typename Function>
Function* cuda_function(const char* name) {
  return reinterpret_cast<Function*>(cuda_symbol(name));
}

}  // namespace lockstep::device
