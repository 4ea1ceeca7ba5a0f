// `ddp` with a slow-down planted in it: it sleeps, so that its steps take a given part
// longer (LOCKSTEP_TEST_SLOWER), or the work of one rank (..._SLOW_RANK) does, of one
// step alone (..._SLOW_STEP) or throughout; ..._WORK_MS is then every rank's work
// beside its own, as a card's is that the processor waits for. A program for tests of
// bench
// --compare, in whose folder it stands under the name of the real one, and of
// `buckets`.
#include <sys/prctl.h>
#include <torch/types.h>

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

// Makes every backward pass longer by the same, in equal parts at its gradients.
class Work final : public training::StepObserver {
 public:
  explicit Work(double seconds) : seconds_(seconds) {}
  void built(const Network& model, torch::optim::Optimizer& /*optimizer*/) override {
    const std::vector<at::Tensor> parameters = model->parameters();
    const Seconds part(seconds_ / static_cast<double>(parameters.size()));
    for (const at::Tensor& parameter : parameters) {
      parameter.register_hook([part](const at::Tensor& /*gradient*/) {
        std::this_thread::sleep_for(part);
      });
    }
  }

 private:
  double seconds_;
};

// Makes the work of this rank alone longer: in the backward pass, at each parameter's
// gradient, it sleeps for a part of what it took since the one before; not of what it
// waited for the other ranks, which is between the last of them and the next step.
class SlowRank final : public training::StepObserver {
 public:
  SlowRank(double part, int64_t only_step) : part_(part), only_step_(only_step) {
    prctl(PR_SET_TIMERSLACK, 1000);
  }
  void built(const Network& model, torch::optim::Optimizer& /*optimizer*/) override {
    for (const at::Tensor& parameter : model->parameters()) {
      parameter.register_hook([this](const at::Tensor& /*gradient*/) { sleep(); });
    }
  }
  void between_steps(int64_t next) override {
    step_ = next;
    begin_ = Clock::now();
  }

 private:
  void sleep() {
    if (only_step_ < 0 || step_ == only_step_) {
      const auto now = Clock::now();
      std::this_thread::sleep_until(
          now + std::chrono::duration_cast<Clock::duration>(part_ * (now - begin_)));
    }
    begin_ = Clock::now();
  }

  double part_;
  int64_t only_step_, step_ = 0;  // less than 0: all of them
  Clock::time_point begin_;
};

TrainReport train(const TrainOptions& options, const World& world) {
  const char* part = std::getenv("LOCKSTEP_TEST_SLOWER");
  if (part == nullptr) throw std::invalid_argument("LOCKSTEP_TEST_SLOWER is not set");
  const char* rank = std::getenv("LOCKSTEP_TEST_SLOW_RANK");
  const char* step = std::getenv("LOCKSTEP_TEST_SLOW_STEP");
  const char* work_ms = std::getenv("LOCKSTEP_TEST_WORK_MS");
  TrainOptions slow = options;
  if (work_ms != nullptr) {
    slow.observers.push_back(std::make_shared<Work>(std::stod(work_ms) / 1e3));
  }
  if (rank == nullptr) {
    slow.observers.push_back(std::make_shared<Sleeper>(std::stod(part)));
  } else if (std::stoi(rank) == world.rank) {
    slow.observers.push_back(std::make_shared<SlowRank>(
        std::stod(part), step == nullptr ? -1 : std::stoll(step)));
  }
  return ddp::train(slow, world);
}

}  // namespace

int main(int argc, char** argv) {
  return program::run_program(
      {"ddp", "As ddp, but slower.", program::Ranks::one_a_card, ddp::check_reducer},
      train, argc, argv);
}
