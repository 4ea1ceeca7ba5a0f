// Against data sheets.
#include "flops/peak.h"

#include <gtest/gtest.h>

namespace lockstep::flops {
namespace {

constexpr Processor kA100 = {8, 0, 108, 1.41e9};
constexpr Processor kH100Sxm = {9, 0, 132, 1.98e9};
constexpr Processor kH100Pcie = {9, 0, 114, 1.755e9};

struct Told {
  Processor processor;
  const char* precision;
  double tflops;
};

TEST(PeakTest, IsTheDataSheets) {
  for (const Told& told :
       {Told{kA100, "fp64", 19.5}, Told{kA100, "fp32", 19.5}, Told{kA100, "tf32", 156},
        Told{kA100, "bf16", 312}, Told{kH100Sxm, "fp64", 66.9},
        Told{kH100Sxm, "fp32", 66.9}, Told{kH100Sxm, "tf32", 494.7},
        Told{kH100Sxm, "bf16", 989.4}, Told{kH100Pcie, "fp64", 51.2},
        Told{kH100Pcie, "fp32", 51.2}, Told{kH100Pcie, "tf32", 378},
        Told{kH100Pcie, "bf16", 756}}) {
    const auto peak = peak_flops_per_s(told.processor, told.precision);
    ASSERT_TRUE(peak) << told.precision;
    EXPECT_NEAR(*peak / (told.tflops * 1e12), 1, 2e-3)
        << told.precision << " of " << told.processor.multiprocessors;
  }
}

TEST(PeakTest, IsAbsentWhereNobodyLookedItUp) {
  EXPECT_FALSE(peak_flops_per_s(Processor{7, 5, 40, 1.59e9}, "fp32"));
  EXPECT_FALSE(peak_flops_per_s(Processor{8, 6, 84, 1.7e9}, "fp32"));
  EXPECT_FALSE(peak_flops_per_s(kA100, "fp8"));
  EXPECT_FALSE(peak_flops_per_s(device::make_cards("cpu", 2, 1), "fp32", 1));
}

}  // namespace
}  // namespace lockstep::flops
