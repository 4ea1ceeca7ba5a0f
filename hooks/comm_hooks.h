// The communication hooks by name.
#pragma once

#include <cstdint>
#include <memory>

#include "hooks/comm_hook.h"
#include "registry/registry.h"

namespace lockstep::hooks {

struct HookOptions {
  int64_t powersgd_rank = 1;    // of the matrices that stand for a gradient
  int64_t powersgd_start = 10;  // optimizer steps before the first that is compressed
  int64_t steps_before = 0;     // that were taken already: of a run that is resumed
  uint64_t seed = 0;            // the same on all ranks
};

// "allreduce": the mean of the gradients as they are. What DDP does without a hook, by
// way of one: for tests, and to start one's own from.
std::unique_ptr<CommHook> make_all_reduce_hook(const HookOptions&);
// "fp16", "bf16": the gradients rounded to 16 bit, and added up in 16 bit. The division
// by the number of ranks comes first, so that the sum of what fits fits.
std::unique_ptr<CommHook> make_fp16_hook(const HookOptions&);
std::unique_ptr<CommHook> make_bf16_hook(const HookOptions&);

// "powersgd": power_sgd.h.
std::unique_ptr<CommHook> make_power_sgd_hook(const HookOptions&);

using HookFactory = std::unique_ptr<CommHook>(const HookOptions&);
Registry<HookFactory>& comm_hooks();

}  // namespace lockstep::hooks
