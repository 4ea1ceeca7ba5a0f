// The lanes of a trace beside those of threads: what a rank's process group has under
// way, a range a collective, from its launch to its end, whichever thread did the work.
// Two that are under way at once stand on two lanes, for ranges of one lane lie inside
// each other or apart.
//
// Costs a branch a collective until it is begun. None on CUDA, where the trace has the
// collectives' kernels themselves.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::tracing {

class CollectiveLanes {
 public:
  void watch(comm::ProcessGroup& group) { group_ = &group; }

  // The trace begins. A step begins. The trace ends: no collective that begins from
  // here on is kept.
  void begin();
  void step();
  void end();

  // The last ones have come to their end; while the group still lives.
  void take();

  // Into a trace of Kineto's, as lanes "card 1 communication" of its process. Within a
  // step they are numbered by name, "all_reduce 0" the first.
  void add_to(nlohmann::ordered_json& trace, int rank) const;

 private:
  using Clock = std::chrono::steady_clock;

  comm::ProcessGroup* group_ = nullptr;
  // Both clocks at one moment: Kineto has the wall's.
  Clock::time_point steady_;
  std::chrono::system_clock::time_point wall_;
  std::vector<Clock::time_point> steps_;
  std::vector<comm::CollectiveSpan> spans_;
};

}  // namespace lockstep::tracing
