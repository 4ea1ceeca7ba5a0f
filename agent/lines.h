// What a rank writes, cut into whole lines, each with the rank's prefix, so that those
// of several ranks do not run into each other. Bytes are bytes: nothing is changed or
// lost but the ends of lines, which are all "\n".
#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace lockstep::agent {

class Lines {
 public:
  // A longer one is cut.
  static constexpr size_t kLongest = 65536;
  static constexpr size_t kKept = 10;

  explicit Lines(std::string prefix) : prefix_(std::move(prefix)) {}

  // The lines that end with these bytes. A bar that is drawn over itself ("\r") makes a
  // line each time.
  std::string take(std::string_view bytes);
  // The line that nobody has ended, at the end.
  std::string rest();

  // The last ones, without the prefix.
  const std::deque<std::string>& last() const { return last_; }

 private:
  void end_line(std::string& lines);

  std::string prefix_;
  std::string open_;  // not ended yet
  bool after_return_ = false;
  std::deque<std::string> last_;
};

}  // namespace lockstep::agent
