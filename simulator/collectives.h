// The collectives of all ranks, matched by their number in the order of calls. One
// begins when its last rank has launched it and those before it are over, takes what
// the alpha-beta model says, and writes its results at its end. What it reads it reads
// as it is launched: who changes a tensor meanwhile finds it written over, who launches
// too early misses what comes later.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "predict/cluster.h"
#include "predict/queue_line.h"
#include "simulator/simulation.h"
#include "simulator/work.h"

namespace lockstep::simulator {

// One rank's part in a collective. Contiguous tensors of one type.
struct Part {
  // How the result comes from all ranks' inputs; sums are taken in the order of ranks.
  enum class Joins : uint8_t { sum, mean, of_root, side_by_side };
  std::string kind;  // "all_reduce"
  c10d::OpType type = c10d::OpType::UNKNOWN;
  Joins joins = Joins::sum;
  int root = -1;
  std::vector<at::Tensor> from;
  std::vector<at::Tensor> to;  // empty: it gets nothing
  // Where `to` begins in the result, in pieces of its own size.
  int piece = 0;
};

class Collectives {
 public:
  Collectives(Clock& clock, const predict::Cluster& cluster, std::vector<Span>& spans);

  // The rank's next collective.
  WorkPtr launch(int rank, Part part);

  // Who launched what others did not, in words; empty: nobody.
  std::string unfinished() const;

 private:
  struct Launched {
    Part part;
    double at_s = 0;
    std::vector<char> bytes;  // of `from`, as they were
    WorkPtr work;
  };
  using ByRank = std::map<int, Launched>;

  void check_match(int64_t number, int rank, const Part& part);
  void begin(int64_t number);
  void complete(int64_t number, double begin_s);
  double seconds(const Part& part, double bytes) const;

  Clock& clock_;
  const predict::Cluster cluster_;
  std::vector<Span>& spans_;
  std::vector<int64_t> launched_;        // by each rank, so far
  std::map<int64_t, ByRank> under_way_;  // by number, from 1
  predict::QueueLine line_;
};

}  // namespace lockstep::simulator
