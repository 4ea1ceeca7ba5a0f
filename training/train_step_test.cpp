// Steps that are recorded and replayed give the losses of the same steps taken as they
// are: on a graph of the test's own, for the CPU has none. CUDA's is held to the same
// in tests/cuda_training_test.cpp.
#include "training/train_step.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>

#include "training/catalog.h"
#include "training/evaluate.h"
#include "training/optimizer.h"

namespace lockstep::training {
namespace {

using Tensors = std::vector<at::Tensor>;

// Does what it recorded again, on the same tensors. What is done while it records does
// not count, as on a card: afterwards the kept tensors are as they were.
class FakeGraph final : public device::Graph {
 public:
  struct Log {
    bool recording = false;
    int recorded = 0;
    int replayed = 0;
    Tensors kept;
    std::function<void()> again;
  };
  explicit FakeGraph(Log& log) : log_(log) {}
  ~FakeGraph() override { log_.recording = false; }

  void begin() override {
    log_.recording = true;
    for (const at::Tensor& tensor : log_.kept) before_.push_back(tensor.clone());
  }
  void end() override {
    log_.recording = false;
    ++log_.recorded;
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < before_.size(); ++i) log_.kept[i].copy_(before_[i]);
  }
  void replay() override {
    ++log_.replayed;
    log_.again();
  }

 private:
  Log& log_;
  Tensors before_;
};

class TrainStepTest : public testing::Test {
 protected:
  TrainStepTest() {
    options_.model = "linear";
    options_.precision = "fp64";
    options_.steps = 12;
    options_.lr = 0.5;
    options_.device = "cpu";
  }

  // Losses of 12 batches, every fifth of another size; on a graph or on none.
  TrainReport train(FakeGraph::Log* log) {
    const Card card = make_cards(options_, 1).front();
    const CardScope scope(card);
    StepMeter meter(options_, World(), {card});
    auto model = make_model(options_, card);
    CrossEntropy criterion(meter);
    Optimizer optimizer(model, options_, meter);
    const auto body = [&](const at::Tensor& images, const at::Tensor& labels) {
      optimizer.zero_grad();
      const at::Tensor loss = criterion(model->forward(images), labels);
      loss.backward();
      optimizer.step();
      return loss;
    };
    std::unique_ptr<device::Graph> graph;
    if (log != nullptr) {
      graph = std::make_unique<FakeGraph>(*log);
      log->kept = model->parameters();
    }
    TrainStep step(meter, std::move(graph), [&](auto& images, auto& labels) {
      at::Tensor loss = body(images, labels);
      if (log == nullptr || !log->recording) return loss;
      if (fails_) TORCH_CHECK(false, "no copy to the host\nin a recording");
      log->again = [=, recorded = loss.detach()] {
        recorded.copy_(body(images, labels).detach());
      };
      return loss;
    });
    torch::manual_seed(5);
    meter.start(/*batches=*/12);
    for (int i = 0; !meter.done(); ++i) {
      const int64_t size = i % 5 == 2 ? 7 : 16;
      const at::Tensor images = torch::randn({size, 100}, at::kDouble);
      const at::Tensor labels = torch::randint(0, 10, {size});
      meter.step(step(images, labels), size);
    }
    return meter.report(model, {});
  }

  TrainOptions options_;
  bool fails_ = false;
};

TEST_F(TrainStepTest, ReplaysGiveTheLossesOfStepsAsTheyAre) {
  FakeGraph::Log log;
  const TrainReport replayed = train(&log);
  const TrainReport plain = train(nullptr);
  EXPECT_EQ(replayed.losses, plain.losses);
  // Steps 2 and 7 are of another size, and three of the others come before.
  EXPECT_EQ(log.recorded, 1);
  EXPECT_EQ(log.replayed, 12 - 2 - 3);
  EXPECT_TRUE(replayed.notes.empty());
}

TEST_F(TrainStepTest, WithinAReplayNoPhaseIsToldApart) {
  FakeGraph::Log log;
  const TrainReport replayed = train(&log);
  ASSERT_EQ(replayed.phases_ms.size(), 2U);
  for (size_t step = 0; step < 12; ++step) {
    EXPECT_NEAR(
        replayed.phases_ms.at("data")[step] + replayed.phases_ms.at("graph")[step],
        replayed.step_ms[step], 1e-9);
  }
  EXPECT_EQ(train(nullptr).phases_ms.count("graph"), 0U);
}

TEST_F(TrainStepTest, WhatCannotBeRecordedIsTakenAsItIs) {
  fails_ = true;
  FakeGraph::Log log;
  // The failed recording's step was done on this graph, and its batch comes once more.
  const TrainReport report = train(&log);
  EXPECT_EQ(log.recorded, 0);
  EXPECT_EQ(log.replayed, 0);
  EXPECT_EQ(report.losses.size(), 12U);
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_EQ(report.notes[0],
            "--cuda-graph: a step could not be recorded (no copy to the host); steps "
            "are taken one kernel at a time");
}

TEST_F(TrainStepTest, ARunThatBeginsWithASmallBatchRecordsTheLargerOnes) {
  FakeGraph::Log log;
  const Card card = make_cards(options_, 1).front();
  StepMeter meter(options_, World(), {card});
  TrainStep step(meter, std::make_unique<FakeGraph>(log), [&](auto& images, auto&) {
    log.again = [] {};
    return images.sum();
  });
  Tensors losses;
  for (const int64_t size : {7, 16, 16, 16, 16, 16, 7}) {
    losses.push_back(step(torch::ones({size}), torch::ones({size})));
  }
  EXPECT_FALSE(losses[4].is_alias_of(losses[5])) << "a replay wrote over a loss";
  EXPECT_EQ(log.recorded, 1);
  EXPECT_EQ(log.replayed, 2);
}

TEST_F(TrainStepTest, OnTheCpuARunNotesThatItHasNoGraphs) {
  options_.cuda_graph = true;
  const Card card = make_cards(options_, 1).front();
  StepMeter meter(options_, World(), {card});
  int taken = 0;
  TrainStep step(options_, World(), card, meter, [&](auto& images, auto&) {
    ++taken;
    return images.sum();
  });
  meter.start(/*batches=*/2);
  for (int i = 0; i < 8; ++i) step(torch::ones({2}), torch::ones({2}));
  EXPECT_EQ(taken, 8);
  const TrainReport report = meter.report(model::linear({}), {});
  EXPECT_EQ(report.notes, std::vector<std::string>{
                              "--cuda-graph: the CPU has no graphs; steps are taken "
                              "one kernel at a time"});
}

TEST_F(TrainStepTest, SaysWhyNot) {
  const Card card(at::Device(at::kCUDA, 0), 0, 1);
  const auto why = [&](const std::function<void(TrainOptions&)>& change, int ranks) {
    TrainOptions options;
    options.device = "cuda";
    options.backend = "nccl";
    change(options);
    World world;
    world.world_size = world.local_world_size = ranks;
    return why_no_graph(options, world, card);
  };
  const auto nothing = [](TrainOptions&) {};
  EXPECT_EQ(why(nothing, 1), "");
  EXPECT_EQ(why(nothing, 2), "");
  EXPECT_EQ(why_no_graph(options_, World(), make_cards(options_, 1).front()),
            "the CPU has no graphs");
  const std::vector<std::pair<std::string, std::function<void(TrainOptions&)>>> alone =
      {{"--accumulate", [](TrainOptions& o) { o.accumulate = 2; }},
       {"Adam", [](TrainOptions& o) { o.optimizer = "Adam"; }},
       {"norm", [](TrainOptions& o) { o.clip.norm = 1; }},
       {"--memory-timeline", [](TrainOptions& o) { o.memory_timeline = true; }}};
  for (const auto& [word, change] : alone) {
    EXPECT_NE(why(change, 1).find(word), std::string::npos) << word;
  }
  const std::vector<std::pair<std::string, std::function<void(TrainOptions&)>>> ranks =
      {{"gloo", [](TrainOptions& o) { o.backend = "gloo"; }},
       {"--local-sgd", [](TrainOptions& o) { o.ddp.local_sgd = 2; }},
       {"PowerSGD", [](TrainOptions& o) { o.ddp.comm_hook = "powersgd"; }},
       {"c10d", [](TrainOptions& o) { o.ddp.reducer = "c10d"; }},
       {"--find-unused", [](TrainOptions& o) { o.ddp.find_unused_parameters = true; }},
       {"--join", [](TrainOptions& o) { o.ddp.join = true; }},
       {"--shard-optimizer", [](TrainOptions& o) { o.ddp.shard_optimizer = true; }},
       {"--bucket-times", [](TrainOptions& o) { o.ddp.bucket_times_file = "t"; }},
       {"--debug", [](TrainOptions& o) { o.debug = "detail"; }}};
  for (const auto& [word, change] : ranks) {
    EXPECT_NE(why(change, 2).find(word), std::string::npos) << word;
    EXPECT_NE(why(change, 1).find(word), std::string::npos) << word << ", one rank";
  }
}

}  // namespace
}  // namespace lockstep::training
