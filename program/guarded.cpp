#include "program/guarded.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include "comm/process_group.h"

namespace lockstep::program {
namespace {

// Note [The first error is the one to show]
// When one rank fails, the others fail a moment later because it has gone; and a
// mistake in the options fails all ranks at once. One line is worth showing: the first
// rank's that has a cause of its own. So a rank that only lost its peers waits longest
// before it speaks (as long as the watch says, which knows who cannot speak), and ranks
// other than 0 a little: by then the launcher has ended them.
constexpr std::chrono::seconds kLostPeerWaits{3};
constexpr std::chrono::seconds kOtherRanksWait{1};

using Clock = std::chrono::steady_clock;

// A rank says one line: this thread, or the watch's where this one hangs.
bool first_to_speak() {
  static std::atomic_flag spoken;
  return !spoken.test_and_set();
}

int fail(const std::string& name, const std::string& message, int status,
         Clock::time_point when) {
  std::this_thread::sleep_until(when);
  while (!first_to_speak()) pause();  // the process is ending
  const std::string line = name + ": " + one_line(message) + "\n";
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  return status;
}

int fail(const std::string& name, const World& world, const std::string& message,
         int status) {
  const auto now = Clock::now();
  return fail(name, message, status, world.rank == 0 ? now : now + kOtherRanksWait);
}

int fail(const std::string& name, const comm::CommError& error) {
  const comm::PeerWatchPtr& watch = error.watch();
  const bool lost = watch && !watch->lost().empty();
  const int status = fail(name, error.what(), 1,
                          lost ? watch->speaks_at() : Clock::now() + kLostPeerWaits);
  // What the backend left waiting for who is lost would not outlive an orderly end.
  if (lost) _exit(status);
  return status;
}

}  // namespace

std::string one_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void say_last_words(const std::string& name, const World& world,
                    const std::string& verdict) {
  if (!first_to_speak()) return;
  const bool after_progress = world.rank == 0 && isatty(STDERR_FILENO) == 1;
  const std::string line = (after_progress ? "\n" : "") + name + ": rank " +
                           std::to_string(world.rank) + ": " + one_line(verdict) + "\n";
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(1);
  _exit(1);
}

int run_guarded(const std::string& name, const World& world,
                const std::function<int()>& body) {
  try {
    return body();
  } catch (const CLI::ParseError& error) {
    return fail(name, world, std::string(error.what()) + "; see --help", 2);
  } catch (const std::invalid_argument& error) {
    return fail(name, world, error.what(), 2);
  } catch (const comm::CommError& error) {
    return fail(name, error);
  } catch (const c10::Error& error) {
    return fail(name, world, error.what_without_backtrace(), 1);
  } catch (const std::exception& error) {
    return fail(name, world, error.what(), 1);
  }
}

}  // namespace lockstep::program
