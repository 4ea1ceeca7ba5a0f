// Who was late, step by step: when each rank's last bucket was ready, beside the other
// ranks'. All ranks begin a step together, for they had to end the collectives of the
// step before together; so what is late is the rank's own work since then.
//
// Not here: who is called a straggler (stragglers.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "timing/bucket_times.h"

namespace lockstep::buckets {

// The first steps of a run, which are unlike the others: no figure counts them.
inline constexpr int64_t kWarmUp = 3;

// Where a rank's own time of a step goes.
enum class Phase {
  released,  // the collectives of the step before were over later for it
  between,   // optimizer, data: before the forward pass
  forward,
  backward,  // until its last bucket was ready
};
inline constexpr size_t kPhases = 4;
// "in backward": as sentences have it.
std::string name_of(Phase phase);

// One step, in which all ranks have buckets; every list is by rank.
struct ComparedStep {
  int64_t step = 0;
  std::vector<const timing::StepTimes*> ranks;
  // After the median of the others, and what each phase has of it.
  std::vector<double> late_us;
  std::array<std::vector<double>, kPhases> phase_us;
  double work_us = 0;  // the median rank's, from its release to its last bucket
};

struct Comparison {
  std::vector<ComparedStep> warm_up;  // the first ones, which are unlike the others
  std::vector<ComparedStep> steps;
  std::vector<double> clock_us;  // of each rank: so far off may lateness be, always
  double work_us = 0;            // of a step, the median
  int64_t incomplete = 0;        // steps that a rank has no line or no bucket of
};

// Points into `times`, which must outlive it.
Comparison compare(const timing::RunTimes& times);

// How much sooner the last collective of the step had ended, had `rank` launched its
// buckets when the median of the others did: replayed (timing/replay.h).
double cost_us(const ComparedStep& step, int rank);

}  // namespace lockstep::buckets
