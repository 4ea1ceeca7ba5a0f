// What a grader's child says: lines that it tells, each awaited for some patience, and
// whatever the solution prints meanwhile. Of that the beginning is kept and the rest
// only read: a solution that prints for ever fills no memory and is cut off like any
// other that hangs.
//
// Not here: starting the child, and what its lines mean (run.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "launch/fd.h"

namespace lockstep::grading {

class Listening {
 public:
  // Makes both pipes. Throws std::runtime_error where there are no more descriptors.
  Listening();

  // For the child: where it tells, and where it prints.
  int tell_fd() const { return tell_.get(); }
  int print_fd() const { return print_.get(); }
  // Once it was started; `pidfd` becomes readable when it has ended, and so has what is
  // told, though what the solution forked may hold the pipe.
  void child_is(int pidfd) {
    tell_ = launch::Fd();
    pidfd_ = pidfd;
  }

  enum class End { none, closed, late };
  // nullopt: end() says why there is none.
  std::optional<std::string> next(std::chrono::milliseconds patience);
  End end() const { return end_; }

  // All of it that was kept; call it when nobody prints any more.
  std::string printed();

 private:
  void take_told();
  size_t take_printed();

  launch::Fd told_, tell_;
  // This end for printing stays open: the other one is never at an end.
  launch::Fd prints_, print_;
  int pidfd_ = -1;     // for poll() nobody
  std::string lines_;  // and a last one that is not whole yet
  std::string printed_;
  size_t left_out_ = 0;  // bytes
  End end_ = End::none;
};

}  // namespace lockstep::grading
