// The signals that ask a job to end (SIGINT, SIGTERM, SIGHUP), as something to poll: no
// handler, hence no global. Whoever waits for children holds one, passes on what comes,
// and cleans up by leaving its scopes.
#pragma once

#include <signal.h>

#include "launch/fd.h"

namespace lockstep::launch {

// While it lives these signals are blocked in this thread, so make it before any other
// thread; children of process.h start with none blocked. A signal that was ignored
// stays ignored (nohup, a background job's SIGINT). One that was not taken does its
// work when this goes.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  // Readable, for poll(), when a signal came.
  int fd() const { return fd_.get(); }
  // The next one that came, or 0.
  int take() const;

 private:
  sigset_t before_;
  Fd fd_;
};

}  // namespace lockstep::launch
