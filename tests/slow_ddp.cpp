// `ddp` with a slow-down planted in it: before each step it sleeps for a given part of
// what a step takes. A program for tests of bench --compare alone; in its folder it
// stands under the name of the real one.
#include <sys/prctl.h>

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

// Sleeps the part of the median of the latest steps, its own sleep left out: so the
// slow-down is that part on a quick machine and on a slow one.
class Sleeper final : public training::StepObserver {
 public:
  explicit Sleeper(double part) : part_(part) {
    prctl(PR_SET_TIMERSLACK, 1000);  // ns: else a sleep takes 50 us longer
  }
  void between_steps(int64_t next) override {
    const auto now = Clock::now();
    if (next > 0) keep(Seconds(now - begin_).count());
    begin_ = now;
    if (latest_.empty()) return;
    owed_ += part_ * rows::median(latest_);
    if (owed_ > 0) std::this_thread::sleep_for(Seconds(owed_));
    begin_ = Clock::now();
    owed_ -= Seconds(begin_ - now).count();  // whoever overslept sleeps less
  }

 private:
  void keep(double seconds) {
    constexpr size_t kLatest = 31;
    if (latest_.size() == kLatest) latest_.erase(latest_.begin());
    latest_.push_back(seconds);
  }

  double part_;
  double owed_ = 0;
  Clock::time_point begin_ = Clock::now();
  std::vector<double> latest_;  // seconds
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
