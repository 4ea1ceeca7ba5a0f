// What a case's program is told: the case as a command.
//
// Not here: running it (child_run.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cases/sweep.h"
#include "launch/process.h"

namespace lockstep::cases {

// Which steps, and whether one card stands in for all of them.
struct RunPlan {
  int64_t steps = 10;
  // One card that takes the case's local batches in turn and averages their gradients:
  // what the case is checked against.
  bool reference = false;
  std::string precision = {};     // the sweep's where empty
  bool equal_shares = false;      // DataParallel's, whatever the case says
  bool memory_timeline = false;   // of the last step, into the report
  bool swift_links = false;       // as quick as the machine, whatever the case says
  bool lossless = false;          // what makes a case lossy is left out
  std::string trace = {};         // where each process leaves one; empty: none
  std::string bucket_times = {};  // where rank 0 leaves them; empty: nowhere
  double card_memory_gib = 0;     // at most; 0: as much as there is
};

// A program that lies beside this one.
std::string program(const std::string& name);

// How the case's program begins its one line of error: "ddp", "train.py".
std::string speaker_of(const Case& one, const RunPlan& plan);

// The case's program with these further arguments. Of a bound's processes each runs it.
// Throws std::invalid_argument where a peer cannot run here.
launch::Command command_of(const Case& one, const Sweep& sweep, const RunPlan& plan,
                           const std::vector<std::string>& more);

}  // namespace lockstep::cases

namespace lockstep {
using cases::RunPlan;
}  // namespace lockstep
