// The loop on one card, and what its memory comes to: counted by hand, and by the
// system.
#include "single_gpu/train.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <torch/types.h>

#include <fstream>
#include <memory>
#include <string>

#include "device/block_cache.h"
#include "device/ledger_allocator.h"
#include "training/catalog.h"
#include "training/observer.h"

namespace lockstep::single_gpu {
namespace {

using device::Category;

// A few images are enough here: no real ones to read.
data::Dataset few_images(const data::Source& /*source*/) {
  const auto half = [](int64_t size) {
    return data::Samples(torch::randint(0, 256, {size, 1, 28, 28}, at::kByte),
                         torch::randint(0, 10, {size}, at::kLong));
  };
  torch::manual_seed(11);
  data::Samples train = half(256);
  return {std::move(train), half(131)};
}

class TrainTest : public testing::Test {
 protected:
  void SetUp() override {
    device::install_ledger();
    training::datasets().add("few", &few_images);
    options_.dataset = "few";
    options_.device = "cpu";
    options_.threads_per_card = 1;
    options_.steps = 1;
  }

  TrainOptions options_;
};

// Note [mlp's peak, by hand]
// mlp is Flatten, Linear(784, 256), ReLU, Linear(256, 10); a step of plain SGD on B
// images. Memory is largest in the backward pass, in the first layer's addmm: its
// weight's gradient, as large as the weight, is the last big thing to come while little
// has gone yet. (The forward pass holds two [B, 256] at once, but no gradients. SGD
// works in place.)
class HandCount {
 public:
  // `number`: bytes of each, 8 in fp64.
  HandCount(int64_t batch, int64_t number) : batch_(batch), number_(number) {}

  int64_t weight1() const { return 256 * 784 * number_; }
  int64_t bias1() const { return 256 * number_; }
  int64_t weight2() const { return 10 * 256 * number_; }
  int64_t bias2() const { return 10 * number_; }

  int64_t parameters() const { return weight1() + bias1() + weight2() + bias2(); }
  // The images [B, 784], the labels as int64 [B]. Flatten is a view.
  int64_t input() const { return batch_ * 784 * number_ + batch_ * 8; }
  // The second layer's, already handed over to their parameters.
  int64_t gradients() const { return weight2() + bias2(); }
  // The loop's variables, logits [B, 10] and the scalar loss; and what backward()
  // starts from, d loss / d loss = 1, a scalar.
  int64_t outputs() const { return batch_ * 10 * number_ + 2 * number_; }
  int64_t activations() const {
    // The gradient that reached the first layer: d loss / d (its output), [B, 256]. The
    // ReLU's output and the log-softmax were freed as their nodes were passed.
    const int64_t incoming = batch_ * 256 * number_;
    // The first layer's gradients: made, but not handed over yet, and so not tagged
    // yet.
    const int64_t just_made = weight1() + bias1();
    return incoming + just_made;
  }
  int64_t peak() const {
    return parameters() + input() + gradients() + outputs() + activations();
  }

 private:
  int64_t batch_;
  int64_t number_;
};

// In fp64, whose products take no memory of LibTorch's.
TEST_F(TrainTest, MlpsPeakIsTheSumByHand) {
  options_.precision = "fp64";
  for (const int64_t batch : {1, 37, 64, 256}) {
    options_.batch_size = batch;
    const TrainReport report = train(options_, World());
    const HandCount hand(batch, 8);
    ASSERT_EQ(report.cards.size(), 1U);
    EXPECT_EQ(report.cards[0].at_peak_bytes,
              (std::map<std::string, int64_t>{{"parameters", hand.parameters()},
                                              {"input", hand.input()},
                                              {"gradients", hand.gradients()},
                                              {"outputs", hand.outputs()},
                                              {"activations", hand.activations()}}));
    EXPECT_EQ(report.cards[0].peak_bytes, hand.peak()) << "batch " << batch;
  }
}

// In fp32 oneDNN multiplies, and what it takes for the product is seen: a few hundred
// KiB, before the bias's gradient is made.
TEST_F(TrainTest, WhatTheProductTakesIsSeen) {
  for (const int64_t batch : {1, 64}) {
    options_.batch_size = batch;
    const int64_t peak = train(options_, World()).cards[0].peak_bytes;
    const HandCount hand(batch, 4);
    EXPECT_GE(peak, hand.peak() - hand.bias1()) << "batch " << batch;
    EXPECT_LE(peak, hand.peak() + (1 << 20)) << "batch " << batch;
  }
}

TEST_F(TrainTest, MomentumCountsAsOptimizerState) {
  options_.momentum = 0.9;
  options_.steps = 3;
  const TrainReport report = train(options_, World());
  EXPECT_EQ(report.cards[0].at_peak_bytes.at("optimizer_state"),
            HandCount(64, 4).parameters());
}

TEST_F(TrainTest, TrainingLeavesTheCardAsItFoundIt) {
  const int64_t before = device::card_bytes(0).live;
  for (const char* model : {"mlp", "convnet"}) {
    options_.model = model;
    options_.eval = true;
    train(options_, World());
    EXPECT_EQ(device::card_bytes(0).live, before) << model;
  }
}

int64_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == field + ":") {
      int64_t kib = 0;
      status >> kib;
      return kib * 1024;
    }
  }
  return -1;
}

// Where training stands when its first step begins: all is loaded, the model is made.
class AtTheStart final : public training::StepObserver {
 public:
  void before_batch(int64_t step, int64_t) override {
    if (step != 0) return;
    device::block_cache_of(0)->release();  // what is free goes back to the system
    malloc_trim(0);
    // From here on large blocks come from the system and go back to it at once: a heap
    // that keeps them has holes.
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    std::ofstream("/proc/self/clear_refs") << 5;  // VmHWM starts again from here
    rss_bytes = status_bytes("VmRSS");
    file_bytes = status_bytes("RssFile");
    live_bytes = device::card_bytes(0).live;
  }

  int64_t rss_bytes = 0;
  int64_t file_bytes = 0;
  int64_t live_bytes = 0;
};

// What bypasses LibTorch's allocator would show here. Left out are the pages of files:
// LibTorch's code, of which the kernel maps more or less as it is touched. The bound:
// 10 % and 6 MiB (the host's batch, malloc'd pieces of the graph).
TEST_F(TrainTest, ResidentMemoryGrowsAsTheLedgerSays) {
  const auto start = std::make_shared<AtTheStart>();
  options_.model =
      "mlp-wide";  // parameters of 23 MB: gradients and momentum as much again
  options_.momentum = 0.9;
  options_.steps = 2;
  // The math library takes 8 MiB for each thread that it turns out to use, once: one
  // thread, which has them from the first run on.
  options_.threads_per_card = 1;
  train(options_, World());
  options_.observers = {start};
  const TrainReport report = train(options_, World());
  const int64_t code = status_bytes("RssFile") - start->file_bytes;
  const int64_t grown = status_bytes("VmHWM") - start->rss_bytes - code;
  const int64_t expected = report.cards[0].peak_bytes - start->live_bytes;
  ASSERT_GT(expected, 40 << 20);
  const double tolerance = 0.1 * static_cast<double>(expected) + (6 << 20);
  EXPECT_NEAR(static_cast<double>(grown), static_cast<double>(expected), tolerance);
}

TEST_F(TrainTest, ABigBlockIsAsBigForTheSystemAsForTheLedger) {
  constexpr int64_t kBytes = int64_t{200} << 20;
  constexpr double kTolerance = 2 << 20;
  const Card card = device::make_cards("cpu", 1, 1).front();
  const CardScope scope(card);
  device::block_cache_of(0)->release();
  malloc_trim(0);
  const int64_t live = device::card_bytes(0).live;
  const int64_t rss = status_bytes("VmRSS");
  const auto grown = [&] { return static_cast<double>(status_bytes("VmRSS") - rss); };
  {
    const at::Tensor block = torch::ones({kBytes}, at::kByte);  // touches every page
    EXPECT_EQ(device::card_bytes(0).live - live, kBytes);
    EXPECT_NEAR(grown(), static_cast<double>(kBytes), kTolerance);
  }
  EXPECT_EQ(device::card_bytes(0).live, live);
  EXPECT_NEAR(grown(), static_cast<double>(kBytes), kTolerance) << "the card keeps it";
  device::block_cache_of(0)->release();
  EXPECT_NEAR(grown(), 0, kTolerance);
}

TEST_F(TrainTest, EverySampleOfTheTestSetCountsOnce) {
  options_.eval = true;
  EXPECT_EQ(train(options_, World()).evaluated, 131);
}

// Four batches of 16 with their gradients averaged are one of 64 (no batch norm).
TEST_F(TrainTest, AccumulatedBatchesAreTheBigBatch) {
  options_.precision = "fp64";
  options_.steps = 5;
  options_.epochs = 9;
  options_.lr = 0.1;
  options_.batch_size = 60;
  options_.drop_last = true;
  const TrainReport whole = train(options_, World());
  options_.batch_size = 15;
  options_.accumulate = 4;
  options_.sampler = "ranks-in-turn";
  const TrainReport parts = train(options_, World());
  ASSERT_EQ(whole.losses.size(), 5U);
  ASSERT_EQ(parts.losses.size(), 5U);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(parts.losses[i], whole.losses[i], 1e-12 * whole.losses[i]) << i;
  }
  EXPECT_LT(whole.losses[4], whole.losses[0]);
  EXPECT_EQ(whole.epochs.back(), 1);
}

// The order of samples, the parameters and the arithmetic: nothing is left to chance,
// nor to how many threads prepare the batches.
TEST_F(TrainTest, TheSameOptionsGiveTheSameLosses) {
  options_.model = "convnet";
  options_.steps = 4;
  const TrainReport once = train(options_, World());
  options_.num_workers = 2;
  EXPECT_EQ(train(options_, World()).losses, once.losses);
  options_.seed = 1;
  EXPECT_NE(train(options_, World()).losses, once.losses);
}

}  // namespace
}  // namespace lockstep::single_gpu
