#include "training/step_meter.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <thread>

#include "comm/gloo.h"
#include "comm/rendezvous.h"
#include "launch/listener.h"
#include "training/catalog.h"

namespace lockstep::training {
namespace {

using device::Category;

constexpr int64_t kBatches = 100;  // an epoch; the meter only plans with it

class StepMeterTest : public testing::Test {
 protected:
  StepMeter meter() { return {options_, world_, cards_}; }

  static at::Tensor loss(double value) { return torch::full({}, value); }

  static std::string error_of(const std::function<void()>& act) {
    try {
      act();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "none";
  }

  TrainOptions options_;
  World world_;
  std::vector<Card> cards_ = device::make_cards("cpu", 1, 1);
  Network model_ = model::linear({});
};

TEST_F(StepMeterTest, PhasesPartitionTheStep) {
  options_.steps = 3;
  StepMeter meter = this->meter();
  meter.start(kBatches);
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) {
    pause();  // data
    meter.enter(Phase::forward);
    pause();
    {
      const PhaseScope comm(meter, Phase::exposed_comm);
      pause();
    }
    EXPECT_EQ(meter.enter(Phase::backward), Phase::forward) << "the scope gave it back";
    meter.step(loss(1), 7);
  }
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - start;
  EXPECT_TRUE(meter.done());
  const TrainReport report = meter.report(model_, {});
  ASSERT_EQ(report.step_ms.size(), 3U);
  EXPECT_EQ(report.phases_ms.size(), 5U) << "no group, no comm";
  double all = 0;
  for (size_t step = 0; step < 3; ++step) {
    double sum = 0;
    for (int i = 0; i < kEagerPhases; ++i) {
      sum += report.phases_ms.at(to_string(static_cast<Phase>(i))).at(step);
    }
    EXPECT_NEAR(sum, report.step_ms[step], 1e-9);
    for (const char* slept : {"data", "forward", "exposed_comm"}) {
      EXPECT_GE(report.phases_ms.at(slept).at(step), 2.0) << slept;
    }
    EXPECT_EQ(report.phases_ms.at("optimizer").at(step), 0);
    all += report.step_ms[step];
  }
  EXPECT_LE(all, elapsed.count() + 1) << "no moment counts twice";
}

TEST_F(StepMeterTest, AccumulatedBatchesAreOneStep) {
  options_.accumulate = 3;
  options_.steps = 2;
  StepMeter meter = this->meter();
  meter.start(kBatches);
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(meter.done());
    meter.step(loss(i), 10 + i);
  }
  EXPECT_TRUE(meter.done());
  const TrainReport report = meter.report(model_, {});
  EXPECT_EQ(report.losses, (std::vector<double>{1, 4}));
  EXPECT_EQ(report.samples, (std::vector<int64_t>{33, 42}));
}

TEST_F(StepMeterTest, EpochsAreCountedAndEndTheRun) {
  options_.epochs = 2;
  StepMeter meter = this->meter();
  int64_t batches = 0;
  for (meter.start(kBatches); !meter.done(); meter.end_epoch()) {
    for (int i = 0; i < 2; ++i) meter.step(loss(static_cast<double>(batches++)), 5);
  }
  EXPECT_EQ(batches, 4);
  EXPECT_EQ(meter.report(model_, {}).epochs, (std::vector<int64_t>{0, 0, 1, 1}));
}

TEST_F(StepMeterTest, ALossThatIsNoNumberEndsTheRunNamingStepAndRank) {
  world_ = {.rank = 3, .world_size = 4};
  StepMeter meter = this->meter();
  meter.start(kBatches);
  meter.step(loss(1), 1);
  meter.step(loss(1), 1);
  EXPECT_EQ(error_of([&] { meter.step(loss(std::nan("")), 1); }),
            "the loss became nan at step 2 on rank 3; try a smaller --lr");
  EXPECT_EQ(error_of([&] { meter.step(loss(INFINITY), 1); }),
            "the loss became inf at step 2 on rank 3; try a smaller --lr");
}

TEST_F(StepMeterTest, AnEpochWithoutABatchIsAnError) {
  options_.epochs = 5;
  options_.batch_size = 128;
  StepMeter meter = this->meter();
  meter.start(kBatches);
  meter.step(loss(1), 1);
  meter.end_epoch();
  EXPECT_EQ(error_of([&] { meter.end_epoch(); }),
            "epoch 1 held no whole batch of --batch-size 128; try a smaller one, or "
            "leave out --drop-last");
}

TEST_F(StepMeterTest, ARunThatTookNoStepIsAnError) {
  options_.accumulate = 99;
  StepMeter meter = this->meter();
  meter.start(1);
  meter.step(loss(1), 1);
  EXPECT_EQ(
      error_of([&] { meter.end_epoch(); }),
      "--accumulate 99: all epochs held fewer local batches than that, and no step "
      "was taken; try a smaller one");
}

TEST_F(StepMeterTest, AStepMayTakeSeveralEpochsBatches) {
  options_.epochs = 4;
  options_.accumulate = 2;
  StepMeter meter = this->meter();
  for (meter.start(1); !meter.done(); meter.end_epoch()) meter.step(loss(1), 1);
  EXPECT_EQ(meter.report(model_, {}).losses.size(), 2u);
}

TEST_F(StepMeterTest, EachPhaseChargesItsCategory) {
  options_.steps = 1;
  const CardScope scope(cards_[0]);
  StepMeter meter = this->meter();
  meter.start(kBatches);
  const auto category = [] { return device::current_account().category; };
  EXPECT_EQ(category(), Category::input);
  meter.enter(Phase::forward);
  EXPECT_EQ(category(), Category::activations);
  const at::Tensor activation = torch::zeros({100});
  meter.enter(Phase::backward);
  EXPECT_EQ(category(), Category::activations);
  meter.enter(Phase::exposed_comm);
  EXPECT_EQ(category(), Category::buckets);
  meter.enter(Phase::optimizer);
  EXPECT_EQ(category(), Category::optimizer_state);
  const at::Tensor state = torch::zeros({10});
  const at::Tensor last = loss(1);  // 4 bytes of optimizer state
  meter.step(last, 1);
  EXPECT_EQ(category(), Category::other) << "the run is done";

  const at::Tensor evaluation =
      torch::zeros({1000});  // after training: not in the peak
  const TrainReport report = meter.report(model_, {});
  ASSERT_EQ(report.cards.size(), 1U);
  EXPECT_EQ(report.cards[0].peak_bytes, 444);
  EXPECT_EQ(
      report.cards[0].at_peak_bytes,
      (std::map<std::string, int64_t>{{"activations", 400}, {"optimizer_state", 44}}));
}

// From the end of the step before to its own end, and no other step's.
TEST_F(StepMeterTest, TheLastPlannedStepsMemoryIsRecorded) {
  options_.steps = 3;
  options_.memory_timeline = true;
  const CardScope scope(cards_[0]);
  StepMeter meter = this->meter();
  meter.start(kBatches);
  const at::Tensor kept = torch::zeros({10});
  for (int i = 0; i < 3; ++i) {
    const at::Tensor input = torch::zeros({100 + i});
    meter.enter(Phase::forward);
    { const at::Tensor activation = torch::zeros({1000 + i}); }
    meter.step(loss(1), 1);
  }
  const at::Tensor evaluation = torch::zeros({5000});
  const TrainReport report = meter.report(model_, {});
  ASSERT_TRUE(report.cards[0].timeline.has_value());
  const MemoryTimeline& timeline = *report.cards[0].timeline;
  std::string all;
  for (size_t i = 0; i < timeline.bytes.size(); ++i) {
    all += timeline.stages[static_cast<size_t>(timeline.stage[i])] + " " +
           timeline.categories[static_cast<size_t>(timeline.category[i])] + " " +
           std::to_string(timeline.bytes[i]) + "\n";
  }
  // The second step's input goes after its end, as its scope ends; the loss is 4 bytes.
  EXPECT_EQ(all,
            "before activations 4\n"
            "before input 444\n"
            "data activations -4\n"
            "data input -404\n"
            "data input 408\n"
            "forward activations 0\n"
            "forward activations 4008\n"
            "forward activations -4008\n"
            "forward activations 4\n"
            "data input 0\n")
      << "the next step's stage ends it";
  options_.memory_timeline = false;
  StepMeter without = this->meter();
  without.start(kBatches);
  for (int i = 0; i < 3; ++i) without.step(loss(1), 1);
  EXPECT_FALSE(without.report(model_, {}).cards[0].timeline.has_value());
}

TEST_F(StepMeterTest, TheReportSaysWhatItRanOn) {
  options_.steps = 1;
  cards_ = device::make_cards("cpu", 2, 3);
  StepMeter meter = this->meter();
  meter.start(kBatches);
  meter.step(loss(0.5), 1);
  const TrainReport report = meter.report(model_, {.correct = 3, .evaluated = 4});
  EXPECT_EQ(report.device, "cpu");
  EXPECT_EQ(report.threads_per_card, 3);
  EXPECT_EQ(report.cards.size(), 2U);
  EXPECT_EQ(report.accuracy(), 0.75);
  EXPECT_GT(report.rss_peak_bytes, 0);
}

TEST_F(StepMeterTest, AWatchedGroupReportsTogetherAndItsTimeIsComm) {
  options_.steps = 2;
  launch::Listener listener;
  std::vector<TrainReport> reports(2);
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([&, rank] {
      comm::Meeting meeting;
      meeting.rank = rank;
      meeting.world_size = 2;
      meeting.port = listener.port();
      if (rank == 0) meeting.listen_fd = listener.release();
      const auto group = comm::make_gloo(comm::meet(meeting), rank, 2, "127.0.0.1",
                                         std::chrono::seconds(20));
      StepMeter meter(options_, {.rank = rank, .world_size = 2}, cards_);
      meter.watch(*group);
      group->all_reduce(torch::ones({1000})).wait();  // before the start: not counted
      meter.start(kBatches);
      meter.step(loss(rank), 10);
      group->all_reduce(torch::ones({1000})).wait();
      meter.step(loss(10 + rank), 20);
      reports[static_cast<size_t>(rank)] = meter.report(model_, {rank, 5});
    });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(to_json(reports[0]), to_json(reports[1])) << "the same on every rank";
  EXPECT_EQ(reports[0].losses, (std::vector<double>{0.5, 10.5}));
  EXPECT_EQ(reports[0].samples, (std::vector<int64_t>{20, 40}));
  EXPECT_EQ(reports[0].evaluated, 10);
  EXPECT_EQ(reports[0].correct, 1);
  EXPECT_EQ(reports[0].cards.size(), 2U);
  EXPECT_GT(reports[0].phases_ms.at("comm").at(1), 0.0);
}

}  // namespace
}  // namespace lockstep::training
