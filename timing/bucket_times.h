// When the buckets of DDP were ready, launched and finished, of every step and rank, on
// one clock: plain numbers, and the file of JSON lines that carries them. An all_reduce
// makes all ranks end alike, so who was late shows in `ready` alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lockstep::timing {

// Microseconds since the first step began on rank 0, on rank 0's clock; in this order.
struct BucketTimes {
  int64_t bytes = 0;
  double ready_us = 0;   // its last gradient is there
  double launch_us = 0;  // its collective starts: those before it have
  double finish_us = 0;  // the collective is over
};

// One optimizer step of one rank, its times in this order, too; accumulated passes
// count to the step they end in.
struct StepTimes {
  int64_t step = 0;
  int rank = 0;
  double begin_us = 0;               // before the forward pass
  double backward_us = 0;            // the forward pass is over
  double backward_end_us = 0;        // and the backward pass
  double reduced_us = 0;             // every gradient is the mean
  std::vector<BucketTimes> buckets;  // by index, the order in which they launch
};

// What one clock shows beside rank 0's.
struct ClockOffset {
  double offset_us = 0;       // to be added to the rank's own time
  double uncertainty_us = 0;  // at most so far off
};

struct RunTimes {
  std::map<std::string, std::string> run;   // "model", "reducer", "backend", ...
  std::map<std::string, std::string> strs;  // DDPLoggingData's, of rank 0; may be empty
  std::map<std::string, int64_t> ints;
  int world_size = 1;
  std::vector<std::string> hosts;   // of each rank
  std::vector<ClockOffset> clocks;  // of each rank
  std::vector<StepTimes> steps;     // by step, and within it by rank
};

// Lines of JSON, each with its "schema": the run, then a line a step and rank. Both
// throw std::runtime_error of one line: for what is no such run (two lines of one step
// and rank, times that fall, a number that is not finite), and reading, naming the
// line.
std::string to_json_lines(const RunTimes& times);
RunTimes times_from_json_lines(const std::string& text);

}  // namespace lockstep::timing
