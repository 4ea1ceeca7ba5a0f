#include "launch/start_line.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace lockstep::launch {
namespace {

// "7,8": where to say that one is ready, and what ends when one may go.
constexpr char kName[] = "LOCKSTEP_START_LINE";

void open_pipe(Fd& read_end, Fd& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw std::runtime_error(std::string("no pipe for a start line: ") +
                             std::strerror(errno));
  }
  read_end = Fd(ends[0]);
  write_end = Fd(ends[1]);
}

}  // namespace

StartLine::StartLine() {
  open_pipe(ready_, say_ready_);
  open_pipe(go_, say_go_);
}

void StartLine::line_up(Command& command) const {
  command.extra_env[kName] =
      std::to_string(say_ready_.get()) + "," + std::to_string(go_.get());
  command.inherit_fds.push_back(say_ready_.get());
  command.inherit_fds.push_back(go_.get());
}

void StartLine::let_go(int processes, const std::vector<int>& or_until) {
  std::vector<pollfd> events = {{ready_.get(), POLLIN, 0}};
  for (const int fd : or_until) events.push_back({fd, POLLIN, 0});
  for (int ready = 0; ready < processes;) {
    if (poll(events.data(), events.size(), /*timeout=*/-1) < 0) {
      if (errno == EINTR) continue;  // and what stands in `revents` is anybody's guess
      break;
    }
    if (std::any_of(events.begin() + 1, events.end(),
                    [](const pollfd& event) { return event.revents != 0; })) {
      break;
    }
    char word = 0;
    if ((events[0].revents & POLLIN) != 0 && read(ready_.get(), &word, 1) == 1) ++ready;
  }
  say_go_ = Fd();  // closes it: the other end sees the end of it, in all processes
}

void stand_at_start_line() {
  const char* line = std::getenv(kName);
  int say_ready = -1, go = -1;
  if (line == nullptr || std::sscanf(line, "%d,%d", &say_ready, &go) != 2) return;
  unsetenv(kName);
  const Fd ready_end(say_ready), go_end(go);
  char word = 'r';
  if (write(ready_end.get(), &word, 1) != 1) return;
  while (read(go_end.get(), &word, 1) < 0 && errno == EINTR) {
  }
}

}  // namespace lockstep::launch
