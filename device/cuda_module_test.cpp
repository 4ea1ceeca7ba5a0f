#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "device/cuda.h"

namespace lockstep::device {
namespace {

// The module is found beside the programs and links everything it names, GPU or not.
TEST(CudaModuleTest, OpensAndCountsDevices) {
  void* module = dlopen("liblockstep_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  ASSERT_NE(module, nullptr) << dlerror();
  using Count = int(char* reason, int reason_size);
  auto* count = reinterpret_cast<Count*>(dlsym(module, "lockstep_cuda_device_count"));
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
  EXPECT_EQ(devices.reason.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace lockstep::device
