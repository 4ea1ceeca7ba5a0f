#include "agent/console.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace lockstep::agent {
namespace {

constexpr size_t kFull = size_t{1} << 20;

// What poll() says can be written without waiting for a reader: so much.
constexpr size_t kAtOnce = PIPE_BUF;

}  // namespace

void Console::put(Stream stream, std::string_view lines) {
  if (!failed_[stream]) waiting_[stream] += lines;
}

bool Console::full(Stream stream) const { return waiting_[stream].size() > kFull; }

void Console::add_to(std::vector<pollfd>& events) const {
  for (const Stream stream : {kOut, kErr}) {
    if (!waiting_[stream].empty()) events.push_back({fds_[stream], POLLOUT, 0});
  }
}

void Console::write_some() {
  for (const Stream stream : {kErr, kOut}) {
    const Stream other = stream == kOut ? kErr : kOut;
    if (!within_line_[other]) write_some(stream);
  }
}

void Console::write_some(Stream stream) {
  std::string& waiting = waiting_[stream];
  size_t written = 0;
  while (written < waiting.size()) {
    pollfd event{fds_[stream], POLLOUT, 0};
    if (poll(&event, 1, /*timeout=*/0) <= 0) break;
    // Whole lines, as many as fit; of a long one a part.
    size_t size = std::min(waiting.size() - written, kAtOnce);
    const size_t end = waiting.rfind('\n', written + size - 1);
    if (end != std::string::npos && end >= written) size = end + 1 - written;
    const ssize_t n = write(fds_[stream], waiting.data() + written, size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) break;
    if (n < 0) {
      failed_[stream] = true;
      written = waiting.size();
      within_line_[stream] = false;
      break;
    }
    written += static_cast<size_t>(n);
    within_line_[stream] = n > 0 && waiting[written - 1] != '\n';
  }
  waiting.erase(0, written);
}

}  // namespace lockstep::agent
