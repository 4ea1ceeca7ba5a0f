// This process's own standard output and error, for lines that come faster than they
// may be read: what was put there waits here, and nobody waits for the reader. Nothing
// is lost, and no line stands within another, where both are one terminal or pipe
// neither.
#pragma once

#include <poll.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::agent {

enum Stream { kOut = 0, kErr = 1 };

class Console {
 public:
  explicit Console(std::array<int, 2> fds = {1, 2}) : fds_(fds) {}

  // Whole lines, ended by "\n".
  void put(Stream stream, std::string_view lines);

  // So much waits that whoever writes the lines should, too.
  bool full(Stream stream) const;
  bool idle() const { return waiting_[kOut].empty() && waiting_[kErr].empty(); }
  // Writes without waiting. What to poll for before: add_to(), where it is not idle.
  void write_some();
  void add_to(std::vector<pollfd>& events) const;

  // It could not be written to: nobody reads, or the disk is full. Lines are let go.
  bool failed(Stream stream) const { return failed_[stream]; }

 private:
  void write_some(Stream stream);

  std::array<int, 2> fds_;
  std::array<std::string, 2> waiting_;
  std::array<bool, 2> within_line_{};  // written half
  std::array<bool, 2> failed_{};
};

}  // namespace lockstep::agent
