// What a step of DDP would take if communication overlapped with backward as well as it
// can: replayed from when its buckets were ready and how long their collectives took.
// Plain numbers in and out.
//
// Measure them with --no-overlap: there backward runs undisturbed and the collectives
// run alone, so neither has what the other costs it in it.
#pragma once

#include <cstdint>
#include <vector>

#include "timing/bucket_times.h"

namespace lockstep::timing {

struct Replay {
  double begin_us = 0;
  double backward_end_us = 0;
  double after_us = 0;  // from the end of both to the step's: the optimizer
  std::vector<double> ready_us, duration_us;  // of the buckets, by index
};

// When the step ends. One collective at a time, in the order of buckets, each as soon
// as its bucket is ready and the one before is over.
double ideal_end_us(const Replay& step);
// When it ends if all of them wait for the end of backward.
double sync_end_us(const Replay& step);

// The step that all ranks took together, from when the last one began it to `end_us`,
// when the last one began the next. A collective begins when the last rank hands it
// over and is over when the last rank says so. Those that are under way side by side,
// as gloo's are where nothing else keeps them apart, share the time by their bytes.
Replay replay_of(const std::vector<StepTimes>& ranks, double end_us);

// Medians over a run's steps. Not of the first `warm_up`, and not of the last, whose
// end nothing shows.
struct StepLengths {
  int64_t steps = 0;    // counted; 0: the others mean nothing
  double taken_us = 0;  // by the run
  double ideal_us = 0;  // replayed from it
};
StepLengths step_lengths(const RunTimes& run, int64_t warm_up);

}  // namespace lockstep::timing
