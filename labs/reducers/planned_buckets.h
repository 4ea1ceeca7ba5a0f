// The buckets that a plan's parameters belong in, and the messages that a reducer sent
// beside them: labs 05 and 06.
#pragma once

#include <string>
#include <vector>

#include "labs/reducers/simulated_step.h"

namespace lockstep::labs {

struct PlannedBucket {
  std::vector<size_t> parameters;  // as they were put in
  int64_t elements = 0;
  at::ScalarType type = at::kDouble;
};

enum class Closes : uint8_t { at_the_cap, before_the_cap };

// One type a bucket, in the order of opening; the last parameter first, unless
// `first_first`.
std::vector<PlannedBucket> planned_buckets(const StepPlan& plan,
                                           bool first_first = false,
                                           Closes closes = Closes::at_the_cap);

// Parameters and a cap drawn from the seed, on which every usual mistake in filling
// buckets shows in the sizes of messages: at least three buckets, the last one not
// full.
StepPlan telling_plan(uint64_t seed, int ranks);

// Refuses a reducing pass in which a rank sends other messages than the plan's buckets,
// by what it sends instead.
void expect_buckets(const SeenSteps& seen, const std::string& otherwise);

}  // namespace lockstep::labs
