#include "device/cuda_module.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "device/cuda.h"

namespace lockstep::device {
namespace {

// The module is found beside the programs and links everything it names, GPU or not.
TEST(CudaModuleTest, OpensAndExportsWhatTheRoomsAskFor) {
  void* module = dlopen("liblockstep_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  ASSERT_NE(module, nullptr) << dlerror();
  for (const char* name :
       {"lockstep_cuda_watch", "lockstep_cuda_limit", "lockstep_cuda_device_name",
        "lockstep_cuda_pci_bus_id", "lockstep_make_nccl", "lockstep_close_nccl",
        "lockstep_nccl_broadcast", "lockstep_nccl_reduce",
        "lockstep_libtorch_data_parallel"}) {
    EXPECT_NE(dlsym(module, name), nullptr) << name;
  }
  auto* count = reinterpret_cast<decltype(&lockstep_cuda_device_count)>(
      dlsym(module, "lockstep_cuda_device_count"));
  ASSERT_NE(count, nullptr);
  std::array<char, 256> reason{};
  EXPECT_GE(count(reason.data(), reason.size()), 0);
  EXPECT_NE(std::string(reason.data()), "");
}

// Where there is no driver nothing is opened, and the reason is one that a person can
// use.
TEST(CudaModuleTest, NoDeviceHasAReason) {
  const CudaDevices devices = cuda_devices();
  if (devices.count == 0) {
    printf("WAIVED: device/cuda: no CUDA device here (%s)\n", devices.reason.c_str());
  }
  EXPECT_FALSE(devices.reason.empty());
  if (devices.reason == "no CUDA driver, libcuda.so.1") {
    EXPECT_THROW(cuda_symbol("lockstep_make_nccl"), std::runtime_error);
  }
  EXPECT_EQ(devices.reason.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace lockstep::device
