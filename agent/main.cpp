// launch: starts a job's ranks, as torchrun does, and again if one of them fails.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>

#include "agent/attempt.h"
#include "agent/command_line.h"
#include "agent/console.h"
#include "agent/descendants.h"
#include "agent/machines.h"
#include "comm/quiet_log.h"
#include "comm/sigpipe_blocked.h"
#include "launch/environment.h"
#include "launch/process.h"
#include "launch/stop_signals.h"

namespace lockstep::agent {
namespace {

void say(Console& console, const std::string& what) {
  console.put(kErr, "launch: " + what + "\n");
}

// All that is said, unless somebody who is tired of waiting says so, or has said so
// already and the reader reads no more.
void flush(Console& console, const launch::StopSignals& signals, bool stopped) {
  constexpr int kPatienceMs = 2000;  // for the next bytes to be read
  for (console.write_some(); !console.idle() && signals.take() == 0;
       console.write_some()) {
    std::vector<pollfd> events = {{signals.fd(), POLLIN, 0}};
    console.add_to(events);
    if (poll(events.data(), events.size(), stopped ? kPatienceMs : -1) == 0) return;
  }
}

void sum_up(Console& console, const Outcome& outcome) {
  say(console, outcome.what + (outcome.last_lines.empty() ? "" : "; its last lines:"));
  for (const std::string& line : outcome.last_lines) {
    console.put(kErr, "  " + launch::printable(line) + "\n");
  }
}

// How this program ends.
struct Exit {
  int status = 0;
  bool stopped = false;  // by a signal, here or on another machine
};

Exit run(const Options& options, Console& console, const launch::StopSignals& signals) {
  Machines machines(options, console, signals);
  for (int restarts = 0;;) {
    const World world = machines.meet();
    restarts = std::max(restarts, world.attempt);
    Outcome outcome =
        run_attempt(options, world, options.nodes, machines.others(), console, signals);
    if (outcome.end == Outcome::End::finished) outcome = machines.await_the_others();
    if (outcome.end == Outcome::End::finished) return {};
    bool is_final = outcome.end == Outcome::End::stopped;
    if (outcome.end == Outcome::End::elsewhere) is_final = machines.learn(outcome);
    if (is_final || restarts >= options.max_restarts) {
      sum_up(console, outcome);
      return {outcome.status, is_final};
    }
    ++restarts;
    say(console, outcome.what + "; starting all ranks again (restart " +
                     std::to_string(restarts) + " of " +
                     std::to_string(options.max_restarts) + ")");
  }
}

Exit guarded(const std::vector<std::string>& arguments, Console& console,
             const launch::StopSignals& signals) {
  try {
    const Options options = parse_command_line(arguments, this_machine());
    if (!options.help.empty()) {
      console.put(kOut, options.help);
      return {};
    }
    check_program(options.command[0]);
    const comm::QuietLog quiet;
    return run(options, console, signals);
  } catch (const Machines::Stopped& stopped) {
    say(console, "stopped by " + launch::signal_name(stopped.signal) +
                     " before all machines had come");
    return {128 + stopped.signal, /*stopped=*/true};
  } catch (const CLI::ParseError& error) {
    say(console, std::string(error.what()) + "; see --help");
    return {2};
  } catch (const std::invalid_argument& error) {
    say(console, error.what());
    return {2};
  } catch (const std::exception& error) {
    const std::string text = error.what();
    say(console, text.substr(0, text.find('\n')));
    return {1};
  }
}

}  // namespace
}  // namespace lockstep::agent

int main(int argc, char** argv) {
  using namespace lockstep;
  launch::die_with_parent();
  launch::hold_standard_streams();
  // Before any thread: all inherit what is blocked.
  const launch::StopSignals signals;
  const comm::SigpipeBlocked sigpipe_blocked;
  agent::adopt_orphans();
  agent::Console console;
  auto [status, stopped] = agent::guarded({argv + 1, argv + argc}, console, signals);
  agent::flush(console, signals, stopped);
  if (status == 0 && console.failed(agent::kOut)) {
    std::fputs("launch: cannot write to standard output\n", stderr);
    status = 1;
  }
  // No destructors: a thread may still wait for a store that is out of reach.
  _exit(status);
}
