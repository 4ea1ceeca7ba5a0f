#include "bench/doctor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "bench/loopback.h"
#include "device/cuda.h"

namespace lockstep::bench {
namespace {

TEST(Loopback, IsMeasured) {
  const Loopback loopback = measure_loopback();
  EXPECT_GT(loopback.bytes_per_s, 1e6);
  EXPECT_LT(loopback.bytes_per_s, 1e12);
  EXPECT_GT(loopback.round_trip_s, 1e-7);
  EXPECT_LT(loopback.round_trip_s, 1);
}

TEST(Doctor, TellsOfTheMachineAndNamesWhatIsWaived) {
  const std::string text = diagnosis();
  for (const char* what :
       {"processor ", "memory ", "LibTorch ", "loopback ", "data ", " cores\n"}) {
    EXPECT_NE(text.find(what), std::string::npos) << what << " in\n" << text;
  }
  const double copied = std::stod(text.substr(text.find("memory copy") + 12));
  EXPECT_GT(copied, 0.01) << text;
  EXPECT_LT(copied, 5000) << "GB/s: no memory is that quick\n" << text;
  const device::CudaDevices cuda = device::cuda_devices();
  const bool waived = text.find("WAIVED       --device cuda") != std::string::npos;
  EXPECT_EQ(waived, cuda.count == 0) << text;
  if (waived) {
    EXPECT_NE(text.find(cuda.reason), std::string::npos) << text;
  }
}

// Two devices, which CUDA counts the other way round.
TEST(Doctor, TellsWhoHoldsMemoryOnWhichCudaDevice) {
  const std::vector<CudaDevice> cuda = {{"NVIDIA H200", "0000:c1:00.0"},
                                        {"NVIDIA A100", "0000:1a:00.0"},
                                        {"NVIDIA T4", "0000:1b:00.0"}};
  nvml::Devices devices;
  devices.all = {{"00000000:1A:00.0", "", int64_t{3} << 30, int64_t{80} << 30, {{}}},
                 {"00000000:C1:00.0", "", std::nullopt, std::nullopt, {{}}}};
  devices.all[0].processes = {{4711, 412 << 20}, {99, std::nullopt}};
  devices.all[1].processes = {{getpid(), 5 << 20}};
  EXPECT_EQ(cuda_lines(cuda, devices),
            "CUDA 0       NVIDIA H200; nobody else is on it\n"
            "CUDA 1       NVIDIA A100, 3.0 of 80.0 GiB in use; in use by pid 4711 (412 "
            "MiB), pid 99\n"
            "CUDA 2       NVIDIA T4\n");
  EXPECT_EQ(cuda_lines({cuda[0]}, {{}, "no NVML, libnvidia-ml.so.1"}),
            "CUDA 0       NVIDIA H200\n"
            "WAIVED       memory of CUDA devices by process: no NVML, "
            "libnvidia-ml.so.1\n");
  EXPECT_EQ(cuda_lines({}, {{}, "no NVML"}), "");
}

}  // namespace
}  // namespace lockstep::bench
