// A member of a watch as it lives: its connections, its thread, and what is known so
// far. What watch.h promises, under one lock.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "launch/fd.h"
#include "membership/barriers.h"
#include "membership/gathering.h"
#include "membership/verdict.h"
#include "membership/watch.h"

namespace lockstep::membership {

class Member {
 public:
  using Clock = Watch::Clock;
  using Milliseconds = std::chrono::milliseconds;

  Member(c10d::Store& store, const WatchOptions& options);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  // See watch.h.
  std::string lost(Milliseconds patience) const;
  int fd() const { return told_.get(); }
  Clock::time_point speaks_at() const;
  void at_step(int64_t step) { step_.store(step, std::memory_order_relaxed); }
  void ends_badly() { ends_badly_ = true; }
  void fail(const std::string& why);
  void monitored_barrier(Milliseconds timeout);

 private:
  struct Watched {
    Peer peer;
    std::optional<int64_t> step{};
    bool left = false;  // in good order
    bool news = true;   // since the last look
    int looks = 0;      // since there was news
  };

  // The thread's.
  void run();
  void speak_if_it_is_time(std::unique_lock<std::mutex>& lock);
  void sleep_until(Clock::time_point next_look, std::unique_lock<std::mutex>& lock);
  void hear_all();
  void hear(Watched& from, const std::string& line);
  void look();

  // A judgement of this member's own, and one that it was told.
  void tell_all(const Verdict& verdict);
  void adopt(const std::string& line);
  void keep(Verdict verdict);

  // How a barrier ends; by member 0, for all.
  void conclude(int64_t barrier, const Barriers::Outcome& outcome);

  void send_all(const std::string& line);
  LineSocket& to_zero() { return peers_.front().peer.socket; }
  void farewell();

  static constexpr int64_t kNoStep = INT64_MIN;

  const WatchOptions options_;
  std::atomic<int64_t> step_{kNoStep};
  std::atomic<bool> ends_badly_{false};

  mutable std::mutex mutex_;
  mutable std::condition_variable news_;  // a verdict, or a barrier's outcome
  std::vector<Watched> peers_;            // of member 0 all others, else member 0
  Barriers barriers_;                     // member 0's
  int64_t barriers_begun_ = 0;
  std::map<int64_t, std::string> outcomes_;  // of barriers; empty: all came
  std::optional<Verdict> verdict_;
  Clock::time_point speaks_at_;
  bool spoke_ = false;
  bool stop_ = false;

  launch::Fd told_, wake_;  // eventfds
  std::thread thread_;
};

}  // namespace lockstep::membership
