// A collective as the engine sees it: which buffers it works on, how it is called, what
// must come out. One small file each.
//
// Not here: warm-up, barriers, clocks and checks (engine.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::collectives {

// The rank's place, and how many elements of a type its larger buffer has.
struct Shape {
  int rank = 0;
  int ranks = 1;
  int64_t elements = 0;
  // Of one rank's piece, where a buffer is made of all ranks'.
  int64_t piece() const { return elements / ranks; }
};

// One tensor twice where the collective is in place.
struct Buffers {
  at::Tensor send, recv;
};

struct Collective {
  std::string name;       // "all_reduce"
  std::string algorithm;  // "backend": its own
  std::string redop;      // "sum", or "none"
  // Its buffers are made of a piece a rank: `count` is a piece's, as in nccl-tests.
  bool in_pieces = false;
  // busbw / algbw: bytes over a rank's link for each byte of the larger buffer, where
  // the algorithm is the best there is.
  double bus_factor = 1;

  std::function<Buffers(comm::ProcessGroup&, const Shape&)> allocate;
  // Returns when this rank's part is done.
  std::function<void(comm::ProcessGroup&, const Buffers&)> run;
  // What `recv` holds after `send` held known_values() on every rank. Undefined: what
  // this rank has then is of no meaning.
  std::function<at::Tensor(const Shape&, int round)> expected;
};

// Whole numbers that differ from rank to rank and from check to check, so small that
// their sum over 64 ranks is exact in fp32.
at::Tensor known_values(int rank, int64_t elements, int round);
at::Tensor sum_of_known_values(int ranks, int64_t elements, int round);

// Of so many elements from the backend's own memory, in place.
Buffers one_buffer(comm::ProcessGroup& group, const Shape& shape);

// `algorithm`: backend, ring, tree or halving-doubling.
Collective all_reduce(int ranks, const std::string& algorithm);
Collective broadcast();  // from rank 0
Collective reduce();     // to rank 0
Collective reduce_scatter(int ranks);
Collective all_gather(int ranks);
// No collective: every rank copies from one buffer of its own to another, at the same
// time. What the machine's memory allows.
Collective memcpy_side_by_side();

// Whether it needs send and recv, which not every backend has.
inline bool made_of_messages(const Collective& collective) {
  return collective.algorithm != "backend" && collective.algorithm != "none";
}

std::vector<std::string> collective_names();
std::vector<std::string> algorithm_names();  // of all_reduce
// Throws std::invalid_argument for a name that is none.
Collective make_collective(const std::string& name, const std::string& algorithm,
                           int ranks);

}  // namespace lockstep::collectives
