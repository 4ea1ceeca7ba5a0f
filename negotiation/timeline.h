// Rank 0's view of what becomes of each tensor, in Chrome's Trace Event JSON: each
// tensor is a lane, on which its negotiation and its collective lie with the phases
// that Horovod's timeline has (horovod/common/timeline.cc, under its names):
//
//   NEGOTIATE_ALLREDUCE   from the first rank that has it to the last; a tick a rank
//   ALLREDUCE             from the decision to the end, and in it
//     QUEUE, MEMCPY_IN_FUSION_BUFFER, GLOO_ALLREDUCE, MEMCPY_OUT_FUSION_BUFFER
//
// Held in memory until write(). One thread; does nothing where it has no file.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "negotiation/messages.h"
#include "negotiation/settings.h"

namespace lockstep::negotiation {

class Timeline {
 public:
  Timeline() = default;  // none
  explicit Timeline(const Settings& settings)
      : path_(settings.timeline), marks_cycles_(settings.timeline_mark_cycles) {}

  bool enabled() const { return !path_.empty(); }

  void negotiate_start(const Request& request);
  void negotiate_rank_ready(const std::string& name, int rank);
  void negotiate_end(const std::string& name);

  void start(const std::vector<Request>& tensors);  // of one response
  // In capitals, whatever the backend calls itself.
  void activity_start(const std::vector<Request>& tensors, const std::string& activity);
  void activity_end(const std::vector<Request>& tensors);
  void end(const std::vector<Request>& tensors);

  void mark_cycle();

  // As files/output_file.h writes: whole. What is open ends here. Once; throws
  // std::runtime_error where it cannot be written.
  void write();
  std::string text() const;

 private:
  struct Event {
    char phase;  // 'B'egin, 'E'nd, 'X' (a tick), 'i' (a mark over all lanes)
    std::string name;
    int64_t lane = 0;
    int64_t elements = -1;  // of the tensor, where they are told
    double us = 0;
  };

  void add(char phase, const std::string& name, const std::string& tensor,
           const Request* request = nullptr);

  std::string path_;
  bool marks_cycles_ = false;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::vector<std::string> lanes_;  // names of tensors; lane 1 is the first
  std::map<std::string, int64_t> lane_of_;
  std::vector<int64_t> depth_;  // of each lane, what is open
  std::vector<Event> events_;
  bool full_ = false;
};

}  // namespace lockstep::negotiation
