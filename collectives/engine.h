// The engine under all collectives: warm-up, barriers, clocks and checks, so that a
// collective's file says only what it is. After nccl-tests' src/common.cu.
//
// A time is that of `iterations` calls between two barriers, by the slowest rank, over
// zeros: sums stay finite however often they are summed. Checks come after, with known
// values.
#pragma once

#include <cstdint>
#include <optional>

#include "collectives/collective.h"
#include "comm/process_group.h"

namespace lockstep::collectives {

struct Rounds {
  int warmup = 5;
  int iterations = 20;
  int checks = 1;  // 0: none
};

struct Figure {
  int64_t bytes = 0;  // of the larger buffer
  int64_t count = 0;  // elements, of a piece where the collective has pieces
  double time_us = 0;
  double algbw = 0, busbw = 0;   // GB/s, of 10^9 bytes
  std::optional<int64_t> wrong;  // elements over all ranks and checks; not looked for
};

// All ranks call it, and get the same. `bytes` are rounded to whole elements, and to
// as many in every rank's piece; one at least.
Figure measure(comm::ProcessGroup& group, const Collective& collective, int64_t bytes,
               const Rounds& rounds);

// Elements that differ; all of them where the numbers of elements do.
int64_t count_wrong(const at::Tensor& found, const at::Tensor& expected);

}  // namespace lockstep::collectives
