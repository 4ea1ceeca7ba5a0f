// One attempt at a job: this machine's ranks from their start to their end, their lines
// on the way, and whoever came of them.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "agent/command_line.h"
#include "agent/console.h"
#include "launch/stop_signals.h"
#include "launch/world.h"

namespace lockstep::agent {

// The launchers of the other machines, as an attempt needs them.
struct Others {
  int fd = -1;  // readable, for poll(), once one of them has failed or gone
  // Tells them that the attempt has failed here.
  std::function<void(const std::string& why, int status, bool is_final)> fail =
      [](const std::string&, int, bool) {};
};

struct Outcome {
  enum class End {
    finished,   // every rank of this machine did, with status 0
    failed,     // one of them, here
    stopped,    // by a signal to this process
    elsewhere,  // ended because of another machine
  };
  End end = End::finished;
  int status = 0;
  // "rank 1 on nodeb (pid 4711) was killed by SIGKILL 12.3 s after its start".
  std::string what;
  std::deque<std::string> last_lines;  // of that rank's standard error
};

// Throws std::invalid_argument where there is no such program.
void check_program(const std::string& program);

// Runs ranks first.rank and up, with torchrun's environment. When it returns or throws
// nobody is left of them. Throws std::runtime_error where one cannot be started.
Outcome run_attempt(const Options& options, const World& first, int nodes,
                    const Others& others, Console& console,
                    const launch::StopSignals& signals);

}  // namespace lockstep::agent
