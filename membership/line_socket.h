// A connection over which lines of text go both ways and that never keeps its thread
// waiting: what cannot be sent now is kept and sent later. One thread at a time.
#pragma once

#include <string>
#include <vector>

#include "launch/fd.h"

namespace lockstep::membership {

class LineSocket {
 public:
  LineSocket() = default;  // not connected
  explicit LineSocket(launch::Fd connected);

  int fd() const { return fd_.get(); }
  bool connected() const { return fd_.get() >= 0; }

  void send(const std::string& line);
  void flush();
  bool has_unsent() const { return !unsent_.empty(); }

  // The whole lines that have come. What the other side sent before it ended is had
  // first; then connected() is false.
  std::vector<std::string> receive();

  void close() { fd_ = launch::Fd(); }

 private:
  launch::Fd fd_;
  std::string unsent_;
  std::string unread_;  // the beginning of a line
};

}  // namespace lockstep::membership
