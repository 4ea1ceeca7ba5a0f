#include "device/cuda.h"

#include <dlfcn.h>

#include <array>
#include <stdexcept>

#include "device/cuda_module.h"

namespace lockstep::device {
namespace {

struct Module {
  void* handle = nullptr;
  std::string reason;  // why there is none
};

const Module& module() {
  static const Module opened = [] {
    if (dlopen("libcuda.so.1", RTLD_LAZY) == nullptr) {
      return Module{nullptr, "no CUDA driver, libcuda.so.1"};
    }
    // RTLD_GLOBAL: libtorch_cuda registers its kernels with the libtorch_cpu already
    // loaded.
    void* handle = dlopen("liblockstep_cuda.so", RTLD_NOW | RTLD_GLOBAL);
    return handle != nullptr
               ? Module{handle, ""}
               : Module{nullptr,
                        std::string("the CUDA module did not load: ") + dlerror()};
  }();
  return opened;
}

CudaDevices count_devices() {
  if (module().handle == nullptr) return {0, module().reason};
  auto* count =
      cuda_function<decltype(lockstep_cuda_device_count)>("lockstep_cuda_device_count");
  std::array<char, 256> reason{};
  const int devices = count(reason.data(), static_cast<int>(reason.size()));
  return {devices, reason.data()};
}

}  // namespace

CudaDevices cuda_devices() {
  static const CudaDevices devices = count_devices();
  return devices;
}

std::string cuda_device_name(int device) {
  std::array<char, 256> name{};
  auto* name_of =
      cuda_function<decltype(lockstep_cuda_device_name)>("lockstep_cuda_device_name");
  name_of(device, name.data(), static_cast<int>(name.size()));
  return name.data();
}

std::vector<std::string> cuda_pci_bus_ids() {
  std::vector<std::string> ids;
  for (int i = 0; i < cuda_devices().count; ++i) {
    std::array<char, 64> id{};
    auto* id_of =
        cuda_function<decltype(lockstep_cuda_pci_bus_id)>("lockstep_cuda_pci_bus_id");
    id_of(i, id.data(), static_cast<int>(id.size()));
    ids.emplace_back(id.data());
  }
  return ids;
}

void* cuda_symbol(const char* name) {
  if (module().handle == nullptr) throw std::runtime_error(module().reason);
  void* symbol = dlsym(module().handle, name);
  if (symbol == nullptr) {
    throw std::runtime_error(
        "liblockstep_cuda.so is of another build; build all programs again");
  }
  return symbol;
}

}  // namespace lockstep::device
