// Runs of cases, in processes of their own: the bench process never trains, so every
// run starts clean and its peaks are its own. Reports come back in memory: nothing of
// bench lies in any folder before its results do.
//
// Not here: what is run and how often (sweep.h, measure.h).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "cases/case_command.h"
#include "cases/sweep.h"
#include "emulation/hosts.h"
#include "launch/process.h"
#include "launch/stop_signals.h"
#include "training/report.h"

namespace lockstep::cases {

// Somebody asked the bench run to end (ctrl-C); the children have ended.
class Stopped : public std::runtime_error {
 public:
  explicit Stopped(int signal);
  int status() const { return status_; }  // as shells tell it: 128 + signal

 private:
  int status_;
};

// What a rank on emulated hosts is told of its place.
launch::Environment place_of(int rank, int ranks, int ranks_per_host);

// Make it before any other thread and use it on the main thread: while it lives the
// signals that end a job wait for it, and children die with the thread that started
// them.
class Children {
 public:
  explicit Children(const Sweep& sweep) : sweep_(sweep) {}

  const Sweep& sweep() const { return sweep_; }

  // Runs the case's program, of a bound all of its processes, and reads back its
  // report. Throws std::runtime_error with the program's own error line; Stopped.
  TrainReport run(const Case& one, const RunPlan& plan) const;

  // The case's program so many times, all beginning their first step at the same
  // moment: how it does beside busy neighbours. Throws as run() does.
  std::vector<TrainReport> run_at_once(const Case& one, const RunPlan& plan,
                                       int processes) const;

  // The all_reduces of that many ranks, timed by `collectives --out`: its lines. Over a
  // `link` as a case's, or with none on this machine. Throws as run() does.
  std::string time_all_reduce(int ranks, const std::string& backend,
                              const std::string& link, int64_t least_bytes,
                              int64_t most_bytes) const;

  // What run() would start; of a bound each of its processes.
  std::vector<std::string> command_line(const Case& one, const RunPlan& plan) const {
    return command_of(one, sweep_, plan, {}).argv;
  }

  // The case's program looks at its options, its data and its model, and trains
  // nothing. Throws std::invalid_argument or std::runtime_error with what it says;
  // Stopped.
  void dry_run(const Case& one) const;

  // Draws the page and the charts in `folder`; the program's status. Throws Stopped.
  int report(const std::string& folder) const;

 private:
  // So many ranks of the command on each host; the text of the file that rank 0 is told
  // to write behind `option`.
  std::string run_on_hosts(const std::string& what, const std::string& speaker,
                           launch::Command command, const std::string& option,
                           int ranks, const std::string& link,
                           int ranks_per_host = 1) const;
  // Its status is 0, else an exception as above. `what`: for one that says nothing.
  void finish(const std::string& what, launch::Process& process,
              const std::string& speaker) const;
  launch::ExitStatus wait(launch::Process& process) const;

  const Sweep& sweep_;
  launch::StopSignals signals_;
};

// Ranks that all_reduce on and on over a link, from when this is made until it goes:
// beside it a card shows what communication takes of its speed. On the main thread.
class LinkAtWork {
 public:
  // Throws std::runtime_error where they do not come to it.
  LinkAtWork(int ranks, const std::string& link, int64_t bytes);

 private:
  emulation::Hosts hosts_;
  std::vector<launch::Process> ranks_;
};

}  // namespace lockstep::cases

namespace lockstep {
using cases::Children;
using cases::Stopped;
}  // namespace lockstep
