// What must hold of buckets' times, whatever the machine: for tests alone.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "timing/bucket_times.h"

namespace lockstep::timing {

inline void expect_in_order(const std::vector<double>& times,
                            const std::string& where) {
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()))
      << where << ": " << ::testing::PrintToString(times);
}

// What must hold of one rank's step by its own clock.
inline void expect_possible(const StepTimes& step, bool overlap) {
  const std::string where =
      "step " + std::to_string(step.step) + " of rank " + std::to_string(step.rank);
  expect_in_order(
      {step.begin_us, step.backward_us, step.backward_end_us, step.reduced_us}, where);
  double launched = 0;
  for (const BucketTimes& bucket : step.buckets) {
    expect_in_order({step.backward_us, bucket.ready_us, bucket.launch_us,
                     bucket.finish_us, step.reduced_us},
                    where);
    EXPECT_LE(bucket.ready_us, step.backward_end_us) << where;
    expect_in_order({launched, bucket.launch_us}, where);
    launched = bucket.launch_us;
  }
  if (overlap) {
    EXPECT_LE(launched, step.backward_end_us) << where;
  } else {
    EXPECT_GE(step.buckets.front().launch_us, step.backward_end_us) << where;
  }
}

// An all_reduce is over nowhere before it was begun everywhere. `slack_us` is what the
// ranks' clocks may be apart.
inline void expect_together(const std::vector<StepTimes>& ranks, double slack_us = 0) {
  for (const StepTimes& one : ranks) {
    for (const StepTimes& other : ranks) {
      ASSERT_EQ(one.buckets.size(), other.buckets.size());
      for (size_t b = 0; b < one.buckets.size(); ++b) {
        EXPECT_GE(one.buckets[b].finish_us + slack_us, other.buckets[b].launch_us)
            << "bucket " << b << " of step " << one.step;
        EXPECT_EQ(one.buckets[b].bytes, other.buckets[b].bytes);
      }
    }
  }
}

}  // namespace lockstep::timing
