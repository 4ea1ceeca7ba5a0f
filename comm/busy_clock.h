// When a group's collectives are under way: how long at least one was, and, while
// somebody asks for them (a trace), the time of each. Any thread; collectives end on
// the backend's.
#pragma once

#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::comm {

class BusyClock {
 public:
  // A collective begins; stop() takes what is returned. `name` is a literal.
  struct Begun {
    CollectiveSpan span;
    bool is_kept = false;
  };
  Begun start(const char* name, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (in_flight_++ == 0) since_ = now;
    return {{name, bytes, now, now}, keeps_};
  }
  void stop(Begun begun) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (--in_flight_ == 0) busy_ += now - since_;
    if (!begun.is_kept) return;
    begun.span.end = now;
    spans_.push_back(begun.span);
  }

  // The union of the intervals in which something is in flight, since this was last
  // asked: two collectives side by side count once.
  double take_ms() {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (in_flight_ > 0) {
      busy_ += now - since_;
      since_ = now;
    }
    const double ms = std::chrono::duration<double, std::milli>(busy_).count();
    busy_ = Clock::duration::zero();
    return ms;
  }

  void keep_spans(bool keep) {
    const std::lock_guard lock(mutex_);
    keeps_ = keep;
  }
  std::vector<CollectiveSpan> take_spans() {
    const std::lock_guard lock(mutex_);
    return std::exchange(spans_, {});
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::mutex mutex_;
  int in_flight_ = 0;
  Clock::time_point since_;
  Clock::duration busy_{};
  bool keeps_ = false;
  std::vector<CollectiveSpan> spans_;  // that have ended
};

}  // namespace lockstep::comm
