#include "bench/doctor.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace lockstep::bench
