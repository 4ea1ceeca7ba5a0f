// Decides, on rank 0, which tensors are reduced together and in which order: those that
// all ranks have submitted, in the order in which the last rank did. A collective is
// matched across ranks by its place in the order of calls, and autograd may be ready
// with gradients in another order on each rank: so one rank decides for all (Sergeev &
// Del Balso 2018, section 3; horovod/common/controller.cc).
//
// Pure logic: no thread, no socket, no clock, no LibTorch.
//
// Note [A negotiation without idle cycles]
// Horovod's ranks negotiate once in each cycle time, whether or not there is anything:
// a thousand small all-reduces a second and rank. Here a rank speaks when it has
// something to say, and the coordinator when it has decided something, at most once in
// a cycle time: what becomes ready in between is fused, as there, and nobody is woken
// for nothing. What Horovod ANDs over all ranks in one all-reduce of a bit vector, its
// cache hits, comes here from each rank as a bit vector and leaves as a list of
// numbers, over connections that form a star: the same tree, one rank after the other.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "negotiation/messages.h"
#include "negotiation/response_cache.h"
#include "negotiation/stall_inspector.h"

namespace lockstep::negotiation {

class Timeline;

class Coordinator {
 public:
  using Clock = StallInspector::Clock;

  Coordinator(int size, const Settings& settings, Timeline& timeline);

  // What a rank has to say. Throws std::runtime_error for what no rank says.
  void receive(int rank, const RequestList& list, Clock::time_point now);

  // Whether something has been decided that the ranks do not know yet.
  bool has_responses() const;
  // Whether all ranks wait for what they have submitted, all or the rest of it: what is
  // not fused now would not be fused by waiting longer.
  bool all_wait() const { return std::ssize(waiting_ranks_) == size_; }
  // It, to be sent to all ranks, and forgotten here.
  ResponseList take_responses();

  // Looks for tensors that wait too long. Returns the line to warn by, or nothing; a
  // shutdown is among the responses.
  std::string inspect(Clock::time_point now);
  // When to look next; nullopt: nothing waits, or nobody asked for it.
  std::optional<Clock::time_point> inspection_due() const;

 private:
  // A tensor that some ranks have submitted (Horovod's message table).
  struct Submitted {
    std::map<int, Request> by_rank;
    std::vector<int64_t> times;  // of each rank
    Clock::time_point since;
    int64_t turn = 0;
  };
  struct Ready {
    Response::Kind kind = Response::Kind::allreduce;
    Request request;
    std::string error;
    std::vector<int64_t> times;
  };

  void submit(int rank, const Request& request, Clock::time_point now);
  void join(int rank);
  bool is_complete(const Submitted& tensor) const;
  void decide(const std::string& name);
  std::string refusal(const std::string& name, const Submitted& tensor) const;
  std::vector<StallInspector::Waiting> waiting() const;
  ResponseTensor tensor_of(const Request& request);

  const int size_;
  const int64_t fusion_threshold_;
  const int64_t cache_capacity_;
  Timeline& timeline_;
  StallInspector inspector_;
  ResponseCache cache_;

  std::map<std::string, Submitted> submitted_;
  int64_t turn_ = 0;
  std::vector<Ready> ready_;  // in this order
  std::set<int> joined_;
  std::set<int> waiting_ranks_;    // since they last submitted anything
  std::optional<int> all_joined_;  // the last to join
  int shutdown_by_ = -1;
  std::string fatal_;
};

}  // namespace lockstep::negotiation
