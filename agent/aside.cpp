#include "agent/aside.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "launch/fd.h"

namespace lockstep::agent {
namespace {

using Clock = std::chrono::steady_clock;

// Closed by the thread when it has finished: then the other end reads.
struct Shared {
  launch::Fd finished, finishing;
  std::exception_ptr error;
};

}  // namespace

Ended do_aside(std::function<void()> work, std::optional<std::chrono::seconds> deadline,
               const launch::StopSignals& signals, int news, Console& console) {
  const auto shared = std::make_shared<Shared>();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no more descriptors");
  shared->finished = launch::Fd(ends[0]);
  shared->finishing = launch::Fd(ends[1]);
  const auto until = Clock::now() + deadline.value_or(std::chrono::seconds(0));
  std::thread([shared, work = std::move(work)] {
    try {
      work();
    } catch (...) {
      shared->error = std::current_exception();
    }
    const launch::Fd closed = std::move(shared->finishing);
  }).detach();

  while (true) {
    console.write_some();
    std::vector<pollfd> events = {{shared->finished.get(), POLLIN, 0},
                                  {signals.fd(), POLLIN, 0},
                                  {news, POLLIN, 0}};
    console.add_to(events);
    int timeout_ms = -1;
    if (deadline) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
      if (left <= 0) return Ended::late;
      timeout_ms = static_cast<int>(std::min<int64_t>(left, 1000000000));
    }
    if (poll(events.data(), events.size(), timeout_ms) < 0 && errno != EINTR) {
      throw std::runtime_error("cannot wait for other machines");
    }
    if (events[0].revents != 0) break;
    if (events[2].revents != 0) return Ended::bad_news;
    if (events[1].revents != 0) return Ended::signal;
  }
  if (shared->error) std::rethrow_exception(shared->error);
  return Ended::done;
}

}  // namespace lockstep::agent
