// Threads that take turns under one virtual clock, so that they make a discrete-event
// simulation whose every run is the same: exactly one runs at a time, the one whose
// time is earliest. What happens at a time (a collective's end) happens before anybody
// runs at it.
//
// Not here: what they wait for (collectives.h, messages.h). All but run() and the
// getters is called by the rank whose turn it is, or from what happens.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <queue>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::simulator {

// Thrown out of a rank's waits once another's error has ended the simulation.
struct Stopped : std::runtime_error {
  using runtime_error::runtime_error;
};

// "rank 3", "rank 0, 1 and 5", "rank 0 to 62": increasing ones.
std::string ranks_text(const std::vector<int>& ranks);

class Clock {
 public:
  // Who runs first of those at the same time is drawn from the seed.
  Clock(int ranks, uint64_t seed);

  // `work(rank)` on a thread for each; returns when all have ended. After a rank's
  // first error, or when all wait for ever (Deadlock), the others are stopped; then it
  // is rethrown.
  void run(const std::function<void(int rank)>& work);

  int ranks() const { return static_cast<int>(turns_.size()); }
  double now_s() const { return now_s_; }
  // When the last rank ended, of all runs so far.
  double ended_s() const { return ended_s_; }

  // For so long others may run.
  void sleep(double seconds);
  // Returns once `done`, which something that happens sets; it waits "for" what.
  void wait(const bool& done, const std::string& what);
  void happen_at(double at_s, std::function<void()> what);
  // Throws Stopped where the simulation has been ended.
  void check() const;
  // Ends it.
  [[noreturn]] void stop(std::exception_ptr error);

 private:
  struct Turn {
    enum class State : uint8_t { ready, waiting, ended };
    State state = State::ready;
    double at_s = 0;
    const bool* awaited = nullptr;
    std::string what;
    std::condition_variable comes;
  };
  struct Happening {
    double at_s;
    uint64_t number;  // of those at the same time the first is asked for first
    std::function<void()> what;
    bool operator<(const Happening& other) const {
      return at_s != other.at_s ? at_s > other.at_s : number > other.number;
    }
  };

  void live(int rank, const std::function<void(int)>& work);
  int next();
  void give_turn();
  void hand_over(int rank);
  void await_turn(int rank);
  void happen(const std::function<void()>& what);
  void fail(std::exception_ptr error);
  std::string who_waits() const;

  // All of it belongs to the rank whose turn it is; only the turn itself is handed over
  // under the mutex.
  std::deque<Turn> turns_;
  std::priority_queue<Happening> happenings_;
  uint64_t asked_ = 0;
  std::mt19937_64 random_;
  double now_s_ = 0;
  double ended_s_ = 0;
  std::exception_ptr error_;
  int running_ = 0;

  std::mutex mutex_;
  int turn_ = -1;
};

}  // namespace lockstep::simulator
