// Horovod's variables, under its names and with its defaults (horovod/common/common.h,
// utils/env_parser.cc), and the options of horovodrun that go over them. Plain numbers:
// what they do is the coordinator's, the stall inspector's and the timeline's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "training/options.h"

namespace lockstep::negotiation {

using Seconds = std::chrono::duration<double>;

struct Settings {
  // HOROVOD_FUSION_THRESHOLD: a fusion buffer holds at most so many bytes; 0: tensors
  // are not fused.
  int64_t fusion_threshold = int64_t{128} * 1024 * 1024;
  // HOROVOD_CYCLE_TIME, in milliseconds: the coordinator decides at most once in it.
  std::chrono::duration<double, std::milli> cycle_time{1};
  // HOROVOD_CACHE_CAPACITY: tensors that are called by a number from their second time
  // on; 0: none.
  int64_t cache_capacity = 1024;

  // HOROVOD_TIMELINE: rank 0's timeline, into this file; empty: none.
  // HOROVOD_TIMELINE_MARK_CYCLES: with a mark where each cycle begins.
  std::string timeline;
  bool timeline_mark_cycles = false;

  // HOROVOD_STALL_CHECK_DISABLE, HOROVOD_STALL_CHECK_TIME_SECONDS: of tensors that some
  // ranks still wait for after so long a line tells.
  // HOROVOD_STALL_SHUTDOWN_TIME_SECONDS: after so long all ranks end; 0: never.
  bool stall_check = true;
  Seconds stall_warning{60};
  Seconds stall_shutdown{0};
};

// The value of a variable; nullopt: it is not set.
using Lookup = std::function<std::optional<std::string>(const std::string& name)>;

// Throws std::invalid_argument, one line, for a value that cannot be.
Settings read_settings(const Lookup& variable);
// The same with a command line's options over them.
Settings settings_of(const training::HorovodOptions& options, const Lookup& variable);

std::optional<std::string> environment_variable(const std::string& name);

}  // namespace lockstep::negotiation
