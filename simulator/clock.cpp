#include "simulator/clock.h"

#include <algorithm>
#include <limits>
#include <map>
#include <thread>
#include <utility>

#include "simulator/simulation.h"

namespace lockstep::simulator {
namespace {

constexpr int kNobody = -1;
constexpr double kNever = std::numeric_limits<double>::infinity();

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    const std::string text = known.what();
    return text.substr(0, text.find('\n'));
  } catch (...) {
    return "something that is no std::exception";
  }
}

}  // namespace

std::string ranks_text(const std::vector<int>& ranks) {
  std::vector<std::string> pieces;
  for (size_t i = 0; i < ranks.size();) {
    size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (last < i + 2) last = i;  // two are shorter by themselves
    pieces.push_back(std::to_string(ranks[i]));
    if (last > i) pieces.back() += " to " + std::to_string(ranks[last]);
    i = last + 1;
  }
  std::string text = "rank ";
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0) text += i + 1 == pieces.size() ? " and " : ", ";
    text += pieces[i];
  }
  return text;
}

Clock::Clock(int ranks, uint64_t seed)
    : turns_(static_cast<size_t>(ranks)), random_(seed) {}

void Clock::run(const std::function<void(int)>& work) {
  error_ = nullptr;
  turn_ = kNobody;  // not who was the last one of the run before
  for (Turn& turn : turns_) {
    turn.state = Turn::State::ready;
    turn.at_s = now_s_;
  }
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks(); ++rank) {
    threads.emplace_back([this, rank, &work] { live(rank, work); });
  }
  hand_over(next());
  for (std::thread& thread : threads) thread.join();
  if (error_) std::rethrow_exception(error_);
}

void Clock::live(int rank, const std::function<void(int)>& work) {
  await_turn(rank);
  try {
    check();
    work(rank);
  } catch (...) {
    if (!error_) fail(std::current_exception());
  }
  turns_[rank].state = Turn::State::ended;
  ended_s_ = std::max(ended_s_, now_s_);
  hand_over(next());
}

void Clock::sleep(double seconds) {
  check();
  turns_[running_].at_s = now_s_ + seconds;
  give_turn();
}

void Clock::wait(const bool& done, const std::string& what) {
  // A destructor that waits while its rank's error is under way must not hide it.
  if (done || std::uncaught_exceptions() > 0) return;
  check();
  Turn& turn = turns_[running_];
  turn.state = Turn::State::waiting;
  turn.awaited = &done;
  turn.what = what;
  give_turn();
}

void Clock::happen_at(double at_s, std::function<void()> what) {
  if (at_s <= now_s_) {
    happen(what);
  } else {
    happenings_.push({at_s, asked_++, std::move(what)});
  }
}

void Clock::check() const {
  if (error_) throw Stopped("the simulation has ended: " + message_of(error_));
}

void Clock::stop(std::exception_ptr error) {
  fail(std::move(error));
  check();
  throw Stopped("the simulation has ended");  // never
}

// Everybody gets a turn once more, to be thrown out of what it waits for.
void Clock::fail(std::exception_ptr error) {
  if (!error_) error_ = std::move(error);
  happenings_ = {};
  for (Turn& turn : turns_) {
    if (turn.state == Turn::State::ended) continue;
    turn.state = Turn::State::ready;
    turn.at_s = now_s_;
  }
}

void Clock::happen(const std::function<void()>& what) {
  try {
    what();
  } catch (...) {
    fail(std::current_exception());
  }
  for (Turn& turn : turns_) {
    if (turn.state != Turn::State::waiting || !*turn.awaited) continue;
    turn.state = Turn::State::ready;
    turn.at_s = now_s_;
  }
}

int Clock::next() {
  std::vector<int> first;
  while (true) {
    double earliest_s = kNever;
    bool all_ended = true;
    first.clear();
    for (int rank = 0; rank < ranks(); ++rank) {
      const Turn& turn = turns_[rank];
      all_ended &= turn.state == Turn::State::ended;
      if (turn.state != Turn::State::ready || turn.at_s > earliest_s) continue;
      if (turn.at_s < earliest_s) first.clear();
      earliest_s = turn.at_s;
      first.push_back(rank);
    }
    if (!happenings_.empty() && happenings_.top().at_s <= earliest_s) {
      const Happening happening = happenings_.top();
      happenings_.pop();
      now_s_ = happening.at_s;
      happen(happening.what);
    } else if (!first.empty()) {
      now_s_ = earliest_s;
      return first.size() == 1 ? first[0] : first[random_() % first.size()];
    } else if (all_ended) {
      return kNobody;
    } else {
      fail(std::make_exception_ptr(Deadlock("deadlock: " + who_waits())));
    }
  }
}

std::string Clock::who_waits() const {
  std::vector<int> ended;
  std::vector<std::pair<std::string, std::vector<int>>> waiting;  // by what for
  for (int rank = 0; rank < ranks(); ++rank) {
    const Turn& turn = turns_[rank];
    if (turn.state == Turn::State::ended) {
      ended.push_back(rank);
      continue;
    }
    auto same = std::find_if(waiting.begin(), waiting.end(),
                             [&](const auto& one) { return one.first == turn.what; });
    if (same == waiting.end()) same = waiting.insert(same, {turn.what, {}});
    same->second.push_back(rank);
  }
  std::string text = ended.empty() ? "" : ranks_text(ended) + " ended";
  for (const auto& [what, ranks] : waiting) {
    text += (text.empty() ? "" : "; ") + ranks_text(ranks) +
            (ranks.size() == 1 ? " waits for " : " wait for ") + what;
  }
  return text;
}

void Clock::give_turn() {
  const int self = running_;
  const int chosen = next();
  if (chosen != self) {
    hand_over(chosen);
    await_turn(self);
  }
  check();
}

void Clock::hand_over(int rank) {
  if (rank == kNobody) return;
  const std::lock_guard lock(mutex_);
  turn_ = rank;
  turns_[rank].comes.notify_one();
}

void Clock::await_turn(int rank) {
  std::unique_lock lock(mutex_);
  turns_[rank].comes.wait(lock, [&] { return turn_ == rank; });
  running_ = rank;
}

}  // namespace lockstep::simulator
