// One Chrome trace of all ranks, on one clock, for chrome://tracing and Perfetto: a
// process a rank, in it a lane of what it computes and one of its collectives (more
// where several are under way at once), and a mark where each bucket was ready. In the
// words of --trace's own, so that what reads those (tests/overlap.py) reads this.
#pragma once

#include <cstdint>
#include <string>

#include "timing/bucket_times.h"

namespace lockstep::buckets {

struct MergedTrace {
  std::string json;
  int64_t first_step = 0, last_step = 0;
  int64_t steps = 0, of_steps = 0;  // of a big run those around `middle`
};

// Of the steps around `middle` so many that there are at most about `most_events`.
MergedTrace merged_trace(const timing::RunTimes& times, int64_t middle,
                         size_t most_events = 200'000);

}  // namespace lockstep::buckets
