// What other threads ask of a member; its own is in member.cpp.
#include "membership/watch.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "membership/member.h"

namespace lockstep::membership {
namespace {

using std::chrono::milliseconds;

// For the others to take note of this member's end.
constexpr milliseconds kFarewell{200};

// For member 0's answer, whose thread is not busy.
constexpr milliseconds kAnswer{2000};

launch::Fd make_event() {
  launch::Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (event.get() < 0) throw std::runtime_error("no eventfd; raise ulimit -n");
  return event;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

Member::Member(c10d::Store& store, const WatchOptions& options)
    : options_(options),
      barriers_(options.kind, options.count),
      told_(make_event()),
      wake_(make_event()) {
  for (Peer& peer : gather(store, options)) peers_.push_back({std::move(peer)});
  if (peers_.empty()) return;
  // Signals are the other threads' to take.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "watch");
}

Member::~Member() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    if (std::uncaught_exceptions() == 0 && !ends_badly_) send_all("bye");
  }
  eventfd_write(wake_.get(), 1);
  thread_.join();
  farewell();
}

// Closed with something unread in it, a connection would break off, and what was sent
// last be lost.
void Member::farewell() {
  for (const Watched& one : peers_) shutdown(one.peer.socket.fd(), SHUT_WR);
  const auto deadline = Clock::now() + kFarewell;
  for (Watched& one : peers_) {
    LineSocket& socket = one.peer.socket;
    for (socket.receive(); socket.connected(); socket.receive()) {
      const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
      pollfd event{socket.fd(), POLLIN, 0};
      if (left.count() <= 0) return;
      poll(&event, 1, static_cast<int>(left.count()));
    }
  }
}

std::string Member::lost(milliseconds patience) const {
  std::unique_lock lock(mutex_);
  // A wait of no time at all would still be a sleep, of some 80 us.
  if (patience.count() > 0) {
    news_.wait_for(lock, patience, [this] { return verdict_.has_value(); });
  }
  return verdict_ ? verdict_->text : "";
}

Member::Clock::time_point Member::speaks_at() const {
  const std::lock_guard lock(mutex_);
  return speaks_at_;
}

void Member::keep(Verdict verdict) {
  const std::vector<int>& lost = verdict.lost;
  if (std::find(lost.begin(), lost.end(), options_.index) != lost.end()) {
    verdict.text = "given up by the others: " + verdict.text;
  }
  speaks_at_ = Clock::now() + hush(verdict, options_.turn);
  verdict_ = std::move(verdict);
  eventfd_write(told_.get(), 1);
  news_.notify_all();
}

void Member::fail(const std::string& why) {
  const std::lock_guard lock(mutex_);
  ends_badly_ = true;
  if (peers_.empty() || verdict_) return;
  const std::string line = one_line(why);
  if (options_.index != 0) return to_zero().send("failed " + line);
  send_all("lost " + to_line(failed(options_.kind, 0, line)));
}

void Member::monitored_barrier(milliseconds timeout) {
  if (peers_.empty()) return;
  std::unique_lock lock(mutex_);
  const int64_t number = ++barriers_begun_;
  const std::string name = std::to_string(number);
  const auto over = [&] { return verdict_ || outcomes_.count(number) > 0; };
  if (options_.index == 0) {
    conclude(number, barriers_.come(number, 0));
  } else {
    to_zero().send("at " + name);
  }
  if (!news_.wait_for(lock, timeout, over)) {
    if (options_.index == 0) {
      conclude(number, barriers_.give_up(number, timeout));
    } else {
      to_zero().send("late " + name + " " + std::to_string(timeout.count()));
    }
    news_.wait_for(lock, kAnswer, over);
  }
  const auto outcome = outcomes_.find(number);
  if (outcome != outcomes_.end() && outcome->second.empty()) return;
  if (outcome != outcomes_.end()) throw comm::CommError(outcome->second);
  throw comm::CommError(verdict_ ? "monitored_barrier failed, " + verdict_->text
                                 : "monitored_barrier: " + options_.kind +
                                       " 0, which knows who came, does not answer");
}

Watch::Watch(c10d::Store& store, const WatchOptions& options)
    : member_(std::make_unique<Member>(store, options)) {}
Watch::~Watch() = default;

std::string Watch::lost(milliseconds patience) const { return member_->lost(patience); }
int Watch::fd() const { return member_->fd(); }
Watch::Clock::time_point Watch::speaks_at() const { return member_->speaks_at(); }
void Watch::at_step(int64_t step) { member_->at_step(step); }
void Watch::ends_badly() { member_->ends_badly(); }
void Watch::fail(const std::string& why) { member_->fail(why); }
void Watch::monitored_barrier(milliseconds timeout) {
  member_->monitored_barrier(timeout);
}

}  // namespace lockstep::membership
