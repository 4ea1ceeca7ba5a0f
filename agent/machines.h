// The launchers of a job's machines: where they meet, which attempt comes next, and
// that an end on one of them is an end on all.
//
// Note [One store for all attempts]
// The launcher of node 0 hosts the store, for the launchers and for the ranks of all
// attempts; each attempt has keys of its own. The number of the next attempt is in it:
// a launcher that is started anew joins that one, and so do those that were never gone.
// Were node 0's own launcher started anew, its store counts from 0 again, and for all.
#pragma once

#include <memory>
#include <string>

#include "agent/attempt.h"
#include "agent/command_line.h"
#include "agent/console.h"
#include "launch/stop_signals.h"
#include "launch/world.h"

namespace lockstep::agent {

class Machines {
 public:
  // Node 0 hosts the store. Throws std::runtime_error where it cannot.
  Machines(const Options& options, Console& console,
           const launch::StopSignals& signals);
  Machines(const Machines&) = delete;
  Machines& operator=(const Machines&) = delete;
  ~Machines();

  // Returns when the launchers of all machines have come for one more attempt: this
  // machine's first rank in it. Throws std::runtime_error, one line, where some have
  // not, and Stopped.
  World meet();
  struct Stopped {
    int signal = 0;
  };

  Others& others();
  // Completes an outcome of an end elsewhere: what, status. True: nobody starts again.
  bool learn(Outcome& outcome);

  // The ranks here have finished: waits for those of the others, who may need the
  // store. Anything but `finished` is an end after all.
  Outcome await_the_others();

 private:
  class Meeting;
  const Options& options_;
  Console& console_;
  const launch::StopSignals& signals_;
  int port_;
  std::shared_ptr<Meeting> meeting_;
  Others others_;
  bool met_before_ = false;
};

}  // namespace lockstep::agent
