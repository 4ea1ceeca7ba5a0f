// The hooks that a Runner has without being told: each of default_hooks' six, and the
// early stop of custom_hooks. `default_hooks.timer = false` leaves one out.
#pragma once

#include "run_hooks/hook.h"

namespace lockstep::run_hooks {

// The others' source: the learning rate.
HookPtr make_runtime_info_hook(const config::Section& config, RunInfo& info);
// How long is left: the mean step so far, for all that are still to come.
HookPtr make_iter_timer_hook(const config::Section& config, RunInfo& info);
// Each epoch in an order of its own; without it all have the first one's, as where
// nobody calls set_epoch().
HookPtr make_sampler_seed_hook(const config::Section& config, RunInfo& info);
// Lines on standard error, and the same numbers in WORK_DIR/scalars.jsonl.
HookPtr make_logger_hook(const config::Section& config, RunInfo& info);
// Steps the schedulers, those of `param_scheduler`.
HookPtr make_param_scheduler_hook(const config::Section& config, RunInfo& info);
// WORK_DIR/checkpoints (checkpoint/), the last few and the best.
HookPtr make_checkpoint_hook(const config::Section& config, RunInfo& info);
// Ends the run where a metric does not become better any more.
HookPtr make_early_stopping_hook(const config::Section& config, RunInfo& info);

}  // namespace lockstep::run_hooks
