#include "training/observer.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <chrono>
#include <limits>
#include <thread>

#include "training/catalog.h"
#include "training/step_meter.h"

namespace lockstep::training {
namespace {

constexpr int64_t kBatches = 100;  // an epoch; the meter only plans with it

// Writes down what it is told.
class Diary final : public StepObserver {
 public:
  Diary(std::string name, std::vector<std::string>& pages)
      : name_(name), pages_(pages) {}

  void planned(int64_t steps) override {
    pages_.push_back(name_ + " planned " + std::to_string(steps));
  }
  void between_steps(int64_t next) override {
    pages_.push_back(name_ + " next " + std::to_string(next));
  }
  void before_batch(int64_t step, int64_t batch) override {
    note("before", step, batch);
  }
  void after_batch(int64_t step, int64_t batch) override { note("after", step, batch); }
  void after_step(const StepEnd& end) override {
    EXPECT_GE(end.step_ms, end.data_ms);
    EXPECT_GE(end.data_ms, 0);
    note("step", end.step, end.epoch);
    pages_.push_back(name_ + " loss " + std::to_string(static_cast<int>(end.loss)) +
                     " of " + std::to_string(end.samples));
  }
  void finished(const torch::nn::Module& model) override {
    pages_.push_back(name_ + " finished " + std::to_string(model.parameters().size()));
  }

 private:
  void note(const std::string& what, int64_t step, int64_t batch) {
    pages_.push_back(name_ + " " + what + " " + std::to_string(step) + "." +
                     std::to_string(batch));
  }

  std::string name_;
  std::vector<std::string>& pages_;
};

class ObserverTest : public testing::Test {
 protected:
  StepMeter meter() { return {options_, World(), cards_}; }
  static at::Tensor loss(double value) { return torch::full({}, value); }

  TrainOptions options_;
  std::vector<Card> cards_ = device::make_cards("cpu", 1, 1);
  Network model_ = model::linear({});
};

TEST_F(ObserverTest, ObserversAreCalledInTheirOrder) {
  std::vector<std::string> pages;
  options_.observers = {std::make_shared<Diary>("a", pages),
                        std::make_shared<Diary>("b", pages)};
  options_.accumulate = 2;
  options_.steps = 2;
  StepMeter meter = this->meter();
  meter.start(kBatches);
  for (int i = 0; i < 4; ++i) meter.step(loss(10 * i), 8);
  meter.report(model_, {});
  std::vector<std::string> expected;
  const auto both = [&](const std::string& what) {
    expected.push_back("a " + what);
    expected.push_back("b " + what);
  };
  both("planned 2");
  both("next 0");
  for (const int step : {0, 1}) {
    const std::string s = std::to_string(step);
    both("before " + s + ".0");
    both("after " + s + ".0");
    both("before " + s + ".1");
    both("after " + s + ".1");
    both("next " + std::to_string(step + 1));
    for (const char* name : {"a", "b"}) {
      expected.push_back(std::string(name) + " step " + s + ".0");
      expected.push_back(std::string(name) + " loss " + (step == 0 ? "5" : "25") +
                         " of 16");
    }
  }
  both("finished 2");
  EXPECT_EQ(pages, expected);
}

TEST_F(ObserverTest, PlansTheStepsThatWillBeTaken) {
  const auto planned = [&](int64_t epochs, int64_t steps, int64_t accumulate) {
    std::vector<std::string> pages;
    options_.observers = {std::make_shared<Diary>("a", pages)};
    options_.epochs = epochs;
    options_.steps = steps;
    options_.accumulate = accumulate;
    StepMeter meter = this->meter();
    meter.start(kBatches);
    return pages.front();
  };
  const int64_t unlimited = std::numeric_limits<int64_t>::max();
  // Resumed by another number of ranks: what is left counts, not what the others took.
  options_.start = {.step = 250, .epoch = 2, .samples = 10 * options_.batch_size};
  EXPECT_EQ(planned(3, unlimited, 1), "a planned 340");
  EXPECT_EQ(planned(4, unlimited, 2), "a planned 345");
  EXPECT_EQ(planned(3, 300, 1), "a planned 300");
  EXPECT_EQ(planned(2, unlimited, 1), "a planned 250");
  options_.start = {};
  EXPECT_EQ(planned(3, unlimited, 1), "a planned 300");
  EXPECT_EQ(planned(3, unlimited, 4), "a planned 75");
  EXPECT_EQ(planned(3, 150, 1), "a planned 150");
  EXPECT_EQ(planned(unlimited, 7, 1), "a planned 7");
}

// Where a run may rest; and an observer that ends it there.
class Resting final : public StepObserver {
 public:
  explicit Resting(int64_t ends_after = 1'000'000) : ends_after_(ends_after) {}

  void rests(int64_t steps, int64_t epochs, bool epoch_ended) override {
    pages.push_back(std::to_string(steps) + " steps, " + std::to_string(epochs) +
                    (epoch_ended ? " whole" : ""));
    std::this_thread::sleep_for(std::chrono::milliseconds(rest_ms));
    steps_ = steps;
  }
  bool wants_end() override { return steps_ >= ends_after_; }
  void after_step(const StepEnd& end) override { step_ms.push_back(end.step_ms); }

  std::vector<std::string> pages;
  std::vector<double> step_ms;
  int rest_ms = 0;

 private:
  int64_t ends_after_;
  int64_t steps_ = 0;
};

// Two epochs of two batches, as a loop takes them.
void take_epochs(StepMeter& meter) {
  for (meter.start(2); !meter.done(); meter.end_epoch()) {
    for (int batch = 0; batch < 2 && !meter.done(); ++batch) {
      meter.step(torch::full({}, 1.0), 8);
    }
  }
}

TEST_F(ObserverTest, RestsAfterStepsAndWholeEpochs) {
  const auto resting = std::make_shared<Resting>();
  options_.observers = {resting};
  options_.epochs = 2;
  StepMeter meter = this->meter();
  take_epochs(meter);
  EXPECT_EQ(resting->pages,
            (std::vector<std::string>{"1 steps, 0", "2 steps, 0", "2 steps, 1 whole",
                                      "3 steps, 1", "4 steps, 1", "4 steps, 2 whole"}));
}

TEST_F(ObserverTest, EndsWhereAnObserverWantsIt) {
  const auto resting = std::make_shared<Resting>(/*ends_after=*/3);
  options_.observers = {std::make_shared<Resting>(), resting};
  options_.epochs = 100;
  StepMeter meter = this->meter();
  take_epochs(meter);
  EXPECT_TRUE(meter.done());
  EXPECT_EQ(resting->pages.back(), "3 steps, 1")
      << "an epoch cut short is no whole one";
  EXPECT_EQ(meter.report(model_, {}).losses.size(), 3U);
}

// Of the time it rests, no step says anything: not the one before, not the one after.
TEST_F(ObserverTest, RestsOutsideTheStepsTime) {
  const auto resting = std::make_shared<Resting>();
  resting->rest_ms = 200;
  options_.observers = {resting};
  options_.epochs = 2;
  StepMeter meter = this->meter();
  const auto start = std::chrono::steady_clock::now();
  take_epochs(meter);
  const std::chrono::duration<double, std::milli> all =
      std::chrono::steady_clock::now() - start;
  ASSERT_EQ(resting->step_ms.size(), 4U);
  double steps_ms = 0;
  for (const double ms : resting->step_ms) steps_ms += ms;
  // Six rests took 200 ms each, at least.
  EXPECT_LE(steps_ms, all.count() - 1200);
}

}  // namespace
}  // namespace lockstep::training
