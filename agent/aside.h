// Work that may wait for another machine for ever: LibTorch's store has calls that no
// timeout ends where the link is dead. It is done on a thread of its own, while this
// one stays open to signals, deadlines and bad news, and goes on without it if need be.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "agent/console.h"
#include "launch/stop_signals.h"

namespace lockstep::agent {

enum class Ended {
  done,
  late,      // the deadline passed
  signal,    // one waits to be taken
  bad_news,  // `news` is readable
};

// Throws what the work throws. Unless it is done its thread is left behind and may go
// on at any time: what it uses must be its own (shared_ptr), and the process must leave
// by _exit(). `news`: a descriptor to poll, -1: none.
Ended do_aside(std::function<void()> work, std::optional<std::chrono::seconds> deadline,
               const launch::StopSignals& signals, int news, Console& console);

}  // namespace lockstep::agent
