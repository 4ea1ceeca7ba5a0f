// `ddp` with a slow-down planted in it: before its steps it sleeps, so that they take a
// given part longer. A program for tests of bench --compare alone; in its folder it
// stands under the name of the real one.
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ddp/reducers.h"
#include "ddp/train.h"
#include "program/program.h"
#include "rows/row.h"
#include "training/observer.h"

namespace {

using namespace lockstep;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// Makes steps longer by a part of what they take without a sleep, on a quick machine as
// on a slow one. A step behind a sleep is slower by itself (the core was given away),
// so now and then one goes without: its time is the measure, and what the others lose
// anyway they need not sleep.
class Sleeper final : public training::StepObserver {
 public:
  explicit Sleeper(double part) : part_(part) {
    prctl(PR_SET_TIMERSLACK, 1000);  // ns: else a sleep takes 50 us longer
  }
  void between_steps(int64_t next) override {
    const auto now = Clock::now();
    if (next > kUnlikeTheOthers) {
      keep(slept_ ? behind_sleep_ : without_, Seconds(now - begin_).count());
    }
    constexpr int64_t kEvery = 16;
    slept_ = next >= kEvery && next % kEvery != 0;
    if (slept_) sleep_until(now + Clock::duration(due_of(rows::median(without_))));
    begin_ = Clock::now();
  }

 private:
  static constexpr int64_t kUnlikeTheOthers = 3;  // the first steps

  static void keep(std::vector<double>& latest, double seconds) {
    constexpr size_t kLatest = 31;
    if (latest.size() == kLatest) latest.erase(latest.begin());
    latest.push_back(seconds);
  }
  std::chrono::nanoseconds due_of(double step) const {
    double due = part_ * step;
    if (!behind_sleep_.empty()) due -= rows::median(behind_sleep_) - step;
    return std::chrono::nanoseconds(static_cast<int64_t>(std::max(0.0, due) * 1e9));
  }
  // The thread wakes up later than it asked to; the next sleep is shorter for it.
  void sleep_until(Clock::time_point when) {
    std::this_thread::sleep_until(when - late_);
    late_ = std::clamp(late_ + (Clock::now() - when) / 2, Clock::duration(0),
                       Clock::duration(std::chrono::milliseconds(1)));
  }

  double part_;
  bool slept_ = false;
  Clock::duration late_{0};
  Clock::time_point begin_ = Clock::now();
  std::vector<double> without_, behind_sleep_;  // seconds a step, its sleep left out
};

TrainReport train(const TrainOptions& options, const World& world) {
  const char* part = std::getenv("LOCKSTEP_TEST_SLOWER");
  if (part == nullptr) throw std::invalid_argument("LOCKSTEP_TEST_SLOWER is not set");
  TrainOptions slow = options;
  slow.observers.push_back(std::make_shared<Sleeper>(std::stod(part)));
  return ddp::train(slow, world);
}

}  // namespace

int main(int argc, char** argv) {
  return program::run_program(
      {"ddp", "As ddp, but slower.", program::Ranks::one_a_card, ddp::check_reducer},
      train, argc, argv);
}
