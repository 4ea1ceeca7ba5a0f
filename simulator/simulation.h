// Ranks as threads under one virtual clock: one laptop shows 64 cards, the same to the
// bit every time. Exactly one rank runs at a time, the one whose time is earliest,
// until it computes or waits; what it really takes counts nothing. Links follow the
// alpha-beta model of predict/cluster.h, collectives are done one after the other as
// they are launched (predict/queue_line.h), and their results are real.
//
// What never ends elsewhere is told here at once: ranks that all wait (Deadlock), and
// collectives that do not match (Mismatch).
//
// Not here: what anything costs on a real machine; the speed of a card is given.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "predict/cluster.h"

namespace lockstep::simulator {

// Ranks that wait for each other for ever: one line, each rank and what it waits for.
struct Deadlock : std::runtime_error {
  using runtime_error::runtime_error;
};
// Two ranks' collectives of one number differ in kind, size or type, or some ranks
// ended without one that others launched: who, and how.
struct Mismatch : std::runtime_error {
  using runtime_error::runtime_error;
};

// A stretch of a rank's time, in seconds of the virtual clock.
struct Span {
  enum class Lane : uint8_t { compute, communication };
  int rank = 0;
  Lane lane = Lane::compute;
  std::string name;  // "forward layer 2", "all_reduce"
  double begin_s = 0, end_s = 0;
  double launched_s = 0;  // of a collective: when this rank asked for it
  int64_t bytes = 0;
  const void* data = nullptr;  // of the first tensor, and
  int64_t elements = 0;        // all tensors' elements
  std::string type;            // "Float"
};

class Simulation;

// A rank, as the code that runs on its thread sees it.
class Rank {
 public:
  Rank(Simulation& simulation, int rank);
  ~Rank();
  int rank() const { return rank_; }
  int size() const;
  // Over the simulated links: all_reduce, broadcast, all_gather, reduce_scatter,
  // send, recv, barrier. A send is over when the other rank has received it: ranks that
  // all send first and wait are in a deadlock. On this rank's thread alone.
  comm::ProcessGroup& group() { return *group_; }
  const std::shared_ptr<comm::ProcessGroup>& shared_group() const { return group_; }
  double now_s() const;
  // So long it does nothing else; others may.
  void compute(const std::string& name, double seconds);

 private:
  Simulation& simulation_;
  int rank_;
  std::shared_ptr<comm::ProcessGroup> group_;
};

class Simulation {
 public:
  // 1 to 64 ranks. Ranks at the same time run in an order drawn from the seed.
  Simulation(int ranks, const predict::Cluster& cluster, uint64_t seed = 0);
  ~Simulation();

  // `work` once on each rank's thread; returns when all have ended. The first error of
  // a rank ends the others and is rethrown; Deadlock and Mismatch are such errors, also
  // where a rank catches what its wait then throws.
  void run(const std::function<void(Rank&)>& work);

  // Of all runs so far, by begin.
  std::vector<Span> spans() const;
  // When the last rank ended.
  double seconds() const;

  struct State;  // the clock, the links, the matching of collectives

 private:
  friend class Rank;
  std::unique_ptr<State> state_;
};

// The rank whose thread this is; null elsewhere. For code that trains through
// process_groups(), which hands no rank through.
Rank* this_rank();

}  // namespace lockstep::simulator
