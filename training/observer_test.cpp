#include "training/observer.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>

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
  EXPECT_EQ(planned(3, unlimited, 1), "a planned 300");
  EXPECT_EQ(planned(3, unlimited, 4), "a planned 75");
  EXPECT_EQ(planned(3, 150, 1), "a planned 150");
  EXPECT_EQ(planned(unlimited, 7, 1), "a planned 7");
}

}  // namespace
}  // namespace lockstep::training
