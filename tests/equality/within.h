// What the tests of equality are held to: how many steps, which one card, and the bar
// with the figure on record.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace lockstep::equality {

inline constexpr size_t kSteps = 100;
inline constexpr size_t kFirstSteps = 10;

// A global batch of 32 on one card, which has both cores: enough for any way of
// sharing it out, and small, since whole programs take it a hundred times.
inline const std::string kOne = "single_gpu --batch-size 32 --threads-per-card 2";

inline std::string workload(const std::string& model, const std::string& precision,
                            size_t steps) {
  return " --model " + model + " --precision " + precision + " --steps " +
         std::to_string(steps);
}

inline void expect_within(double bar, double error, const std::string& what) {
  std::printf("%-9.1e of %.0e: %s\n", error, bar, what.c_str());
  EXPECT_LE(error, bar) << what;
}

}  // namespace lockstep::equality
