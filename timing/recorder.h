// Notes when a rank's steps and their buckets pass, for the reducer to call: on the
// thread of the loop, but for the ends of collectives, which come on the backend's.
//
// A bucket's collective ends where the group tells so (comm::ProcessGroup::tell_ends):
// over gloo to the moment, over shm when this rank has done its part of it, which it
// does while it waits. Where a bucket takes several, the last one's end counts. Not on
// CUDA, where they end in a queue that no clock here sees.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "comm/process_group.h"
#include "timing/bucket_times.h"

namespace lockstep::timing {

class Recorder {
 public:
  // The steps are numbered from `first_step`.
  Recorder(int rank, int64_t first_step) : rank_(rank), next_step_(first_step) {}

  void step_begins();
  void backward_begins(const std::vector<int64_t>& bytes);  // of the buckets
  void ready(size_t bucket);
  // Around the calls that start the bucket's collectives; the first is its launch.
  void launches(size_t bucket, comm::ProcessGroup& group);
  static void launched(comm::ProcessGroup& group) { group.tell_ends({}); }
  void backward_over();
  void reduced();

  // Those that were reduced, by this rank's steady clock (clock_offset.h).
  const std::vector<StepTimes>& steps() const { return steps_; }

 private:
  int rank_;
  int64_t next_step_;
  StepTimes step_;  // under way
  // Its buckets' ends so far; of this step alone, for a late one may outlive it.
  std::shared_ptr<std::vector<std::atomic<double>>> ends_;
  std::vector<StepTimes> steps_;
};

}  // namespace lockstep::timing
