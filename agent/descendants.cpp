#include "agent/descendants.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "launch/fd.h"

namespace lockstep::agent {
namespace {

// 0: there is no such process.
pid_t parent_of(pid_t pid) {
  // No stream: reading of a process that ends just then fails, and a stream's buffer
  // throws.
  const launch::Fd file(
      open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> begin{};
  const ssize_t size = read(file.get(), begin.data(), begin.size());
  // "4711 (a name) S 4700 ...", and the name may have brackets and blanks.
  const std::string stat(begin.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 4 > stat.size()) return 0;
  return std::atoi(stat.c_str() + name_end + 4);
}

bool is_one_of(const std::vector<pid_t>& pids, pid_t pid) {
  return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

// /proc/PID/task/TID/children would be shorter, but not every kernel has it.
// But for the guards and what descends from them.
std::vector<pid_t> descendants(const std::vector<pid_t>& guards) {
  std::multimap<pid_t, pid_t> children;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid > 0) children.emplace(parent_of(pid), pid);
  }
  std::vector<pid_t> found = {getpid()};
  for (size_t i = 0; i < found.size(); ++i) {
    const auto [first, last] = children.equal_range(found[i]);
    for (auto child = first; child != last; ++child) {
      if (!is_one_of(guards, child->second)) found.push_back(child->second);
    }
  }
  found.erase(found.begin());
  return found;
}

bool descends(pid_t pid, const std::vector<pid_t>& guards) {
  for (int steps = 0; pid > 1 && steps < 100000; ++steps) {
    if (is_one_of(guards, pid)) return false;
    pid = parent_of(pid);
    if (pid == getpid()) return true;
  }
  return false;
}

// The number may have become another's since it was read. So first a descriptor of
// whoever has it now, then the question whether that one is ours: if so, and were it to
// end in between, the descriptor leads to nobody.
void end(pid_t pid, const std::vector<pid_t>& guards) {
  const launch::Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (process.get() < 0 || !descends(pid, guards)) return;
  syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

// False: there are none, not even running ones.
bool reap_children() {
  pid_t got = 0;
  do {
    got = waitpid(-1, nullptr, WNOHANG);
  } while (got > 0 || (got < 0 && errno == EINTR));
  return got == 0;
}

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

void end_descendants(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (reap_children()) {
    // One that starts others meanwhile is met again: they are descendants, too.
    if (std::chrono::steady_clock::now() >= until) {
      end_unguarded({});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void end_unguarded(const std::vector<pid_t>& guards) {
  for (const pid_t pid : descendants(guards)) end(pid, guards);
}

}  // namespace lockstep::agent
