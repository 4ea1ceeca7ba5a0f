#include "agent/lines.h"

#include <algorithm>

namespace lockstep::agent {

std::string Lines::take(std::string_view bytes) {
  std::string lines;
  while (!bytes.empty()) {
    const size_t room = kLongest - open_.size();
    const size_t text = std::min({bytes.find_first_of("\r\n"), bytes.size(), room});
    open_.append(bytes.substr(0, text));
    if (text > 0) after_return_ = false;
    bytes.remove_prefix(text);
    if (bytes.empty()) break;
    const char end = bytes.front();
    if (end != '\r' && end != '\n') {  // no room
      end_line(lines);
      continue;
    }
    // "\r\n" is one end, and a bar may begin with "\r".
    const bool half = end == '\n' ? after_return_ : open_.empty();
    if (!half) end_line(lines);
    after_return_ = end == '\r' && !half;
    bytes.remove_prefix(1);
  }
  return lines;
}

std::string Lines::rest() {
  std::string lines;
  if (!open_.empty()) end_line(lines);
  return lines;
}

void Lines::end_line(std::string& lines) {
  lines += prefix_ + open_ + '\n';
  last_.push_back(std::move(open_));
  if (last_.size() > kKept) last_.pop_front();
  open_.clear();
}

}  // namespace lockstep::agent
