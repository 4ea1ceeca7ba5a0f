// One run of a case, in processes of its own: the bench process never trains, so every run
// starts clean and its peaks are its own.
#pragma once

#include <cstdint>
#include <string>

#include "bench/sweep.h"
#include "training/report.h"

namespace lockstep::bench {

// Which steps, and whether one card stands in for all of them.
struct RunPlan {
  int64_t steps = 10;
  // One card that takes the case's local batches in turn and averages their gradients: what
  // the case is checked against.
  bool reference = false;
};

// Runs the case's program and reads back its report. Throws std::runtime_error with the
// program's own error line. Call it from the main thread: children die with it.
TrainReport run_in_children(const Case& one, const Sweep& sweep, const RunPlan& plan);

}  // namespace lockstep::bench
