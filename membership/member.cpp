// What a member's own thread does: beats, listens, judges.
#include "membership/member.h"

#include <poll.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace lockstep::membership {

void Member::run() {
  std::unique_lock lock(mutex_);
  for (Watched& one : peers_) {
    for (const std::string& line : one.peer.unread) hear(one, line);
  }
  // See Note [Looks, and not time].
  auto next_look = Clock::now() + options_.beat;
  while (!stop_) {
    speak_if_it_is_time(lock);
    sleep_until(next_look, lock);
    if (stop_) break;  // who said goodbye does not wonder that others hang up
    hear_all();
    if (Clock::now() < next_look) continue;
    look();
    next_look = Clock::now() + options_.beat;
  }
}

void Member::speak_if_it_is_time(std::unique_lock<std::mutex>& lock) {
  if (!verdict_ || spoke_ || Clock::now() < speaks_at_ + kItselfFirst) return;
  spoke_ = true;
  if (!options_.last_words) return;
  const std::string text = verdict_->text;
  lock.unlock();
  options_.last_words(text);
  lock.lock();
}

void Member::sleep_until(Clock::time_point next_look,
                         std::unique_lock<std::mutex>& lock) {
  std::vector<pollfd> events = {{wake_.get(), POLLIN, 0}};
  for (const Watched& one : peers_) {
    const LineSocket& socket = one.peer.socket;
    const int unsent = socket.has_unsent() ? POLLOUT : 0;
    events.push_back({socket.fd(), static_cast<short>(POLLIN | unsent), 0});
  }
  auto until = next_look;
  if (verdict_ && !spoke_) until = std::min(until, speaks_at_ + kItselfFirst);
  const auto left = std::chrono::ceil<Milliseconds>(until - Clock::now());
  lock.unlock();
  poll(events.data(), events.size(),
       static_cast<int>(std::max<int64_t>(0, left.count())));
  lock.lock();
}

void Member::hear_all() {
  std::vector<Suspect> gone;
  for (Watched& one : peers_) {
    LineSocket& socket = one.peer.socket;
    if (!socket.connected()) continue;
    socket.flush();
    for (const std::string& line : socket.receive()) hear(one, line);
    if (socket.connected() || one.left) continue;
    gone.push_back({one.peer.index, one.peer.where, one.step});
  }
  if (!gone.empty()) tell_all(have_gone(options_.kind, gone));
}

void Member::hear(Watched& from, const std::string& line) {
  from.news = true;
  std::istringstream words(line);
  std::string word;
  words >> word;
  const auto rest = [&] {
    std::string text;
    std::getline(words >> std::ws, text);
    return text;
  };
  int64_t number = 0;
  if (word == "beat") {
    if (words >> number) from.step = number;
  } else if (word == "bye") {
    from.left = true;
    from.peer.socket.close();
  } else if (word == "lost") {
    adopt(rest());
  } else if (word == "failed") {
    tell_all(failed(options_.kind, from.peer.index, rest()));
  } else if (word == "at" && words >> number) {
    conclude(number, barriers_.come(number, from.peer.index));
  } else if (word == "late" && words >> number) {
    int64_t waited = 0;
    words >> waited;
    conclude(number, barriers_.give_up(number, Milliseconds(waited)));
  } else if (word == "over" && words >> number) {
    outcomes_[number] = rest();
    news_.notify_all();
  }
}

void Member::look() {
  const int64_t step = step_.load(std::memory_order_relaxed);
  const std::string beat = step == kNoStep ? "beat" : "beat " + std::to_string(step);
  std::vector<Suspect> silent;
  bool judged = false;
  for (Watched& one : peers_) {
    if (!one.peer.socket.connected()) continue;
    one.peer.socket.send(beat);
    one.looks = std::exchange(one.news, false) ? 0 : one.looks + 1;
    judged = judged || one.looks >= options_.looks;
    // Of a host that cannot be reached some were heard of a little later than others.
    if (one.looks < options_.looks - 1) continue;
    silent.push_back({one.peer.index, one.peer.where, one.step});
  }
  if (!judged) return;
  tell_all(are_silent(options_.kind, silent, options_.beat * options_.looks));
}

void Member::tell_all(const Verdict& verdict) {
  if (verdict_) return;
  keep(verdict);
  send_all("lost " + to_line(verdict));
}

void Member::adopt(const std::string& line) {
  const std::optional<Verdict> verdict = verdict_from(line);
  if (verdict_ || !verdict) return;
  keep(*verdict);
  if (options_.index == 0) send_all("lost " + line);
}

void Member::conclude(int64_t barrier, const Barriers::Outcome& outcome) {
  if (!outcome) return;
  outcomes_[barrier] = *outcome;
  send_all("over " + std::to_string(barrier) + " " + *outcome);
  news_.notify_all();
}

void Member::send_all(const std::string& line) {
  for (Watched& one : peers_) one.peer.socket.send(line);
}

}  // namespace lockstep::membership
