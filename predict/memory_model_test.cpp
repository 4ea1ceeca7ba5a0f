#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "predict/memory.h"

namespace lockstep::predict {
namespace {

// A model by hand: 1000 bytes of parameters in two tensors, 100 bytes a sample of
// images, 8 of labels, 50 of a hidden layer (and 20 once), 40 of logits.
StepProfile by_hand(int64_t n) {
  const int64_t images = 100 * n, labels = 8 * n, hidden = 20 + 50 * n, logits = 40 * n;
  return {n,
          {{"parameters", "before", 1000},
           {"gradients", "before", 1000},
           {"input", "before", images + labels},
           {"outputs", "before", logits + 4},
           {"outputs", "data", -4},
           {"outputs", "data", -logits},
           {"input", "data", -labels},
           {"input", "data", -images},
           {"input", "data", images},
           {"input", "data", labels},
           {"gradients", "optimizer", -900},
           {"gradients", "optimizer", -100},
           {"activations", "forward", hidden},
           {"activations", "forward", logits},
           {"activations", "loss", -logits},
           {"outputs", "loss", logits},
           {"outputs", "loss", logits},  // their softmax
           {"outputs", "loss", 4},
           {"activations", "backward", 4},
           {"activations", "loss_backward", -4},
           {"outputs", "loss_backward", 4},
           {"outputs", "loss_backward", logits},  // the logits' gradient
           {"outputs", "loss_backward", -logits},
           {"activations", "backward", 100},
           {"activations", "backward", -100},
           {"gradients", "backward", 100},
           {"activations", "backward", 50 * n},
           {"outputs", "backward", -logits},
           {"activations", "backward", 900},
           {"activations", "backward", -900},
           {"gradients", "backward", 900},
           {"activations", "backward", -50 * n},
           {"activations", "backward", -hidden},
           {"outputs", "backward", -4},
           {"optimizer_state", "optimizer", 30},
           {"optimizer_state", "optimizer", -30}}};
}

StepMemory step_by_hand() { return {by_hand(4), by_hand(2)}; }

int64_t sum(const std::map<std::string, int64_t>& categories) {
  int64_t total = 0;
  for (const auto& [category, bytes] : categories) total += bytes;
  return total;
}

TEST(StepMemoryTest, SizesAreFoundInTheSequence) {
  const StepMemory step = step_by_hand();
  EXPECT_EQ(step.images(7), 700);
  EXPECT_EQ(step.labels(7), 56);
  EXPECT_EQ(step.logits(7), 280);
  EXPECT_EQ(step.parameters(), 1000);
  EXPECT_EQ(step.gradients(), (std::vector<int64_t>{100, 900}));
  EXPECT_FALSE(step.copies_images());
}

TEST(StepMemoryTest, PartsAreInTheOrderOfTheStep) {
  const StepMemory step = step_by_hand();
  const auto count = [&](Part part) { return step.part(part, 3).size(); };
  EXPECT_EQ(count(Part::before), 4u);
  EXPECT_EQ(count(Part::data), 6u);
  EXPECT_EQ(count(Part::zero_grad), 2u);
  EXPECT_EQ(count(Part::forward), 2u);
  EXPECT_EQ(count(Part::loss), 4u);
  EXPECT_EQ(count(Part::loss_backward), 5u) << "with the loss's own gradient";
  EXPECT_EQ(count(Part::backward), 11u);
  EXPECT_EQ(count(Part::optimizer), 2u);
  EXPECT_EQ(step.part(Part::forward, 10).front().bytes, 520);
}

TEST(MemoryTest, OneCardsPeakIsWhereItsLastGradientIsMade) {
  const CardPeak peak = single_peak(step_by_hand(), 10);
  // As the gradient of 900 comes: hidden 520, its gradient 500, the gradients 100 and
  // 900, the logits 400 and the loss 4 with its gradient 4, the batch 1080.
  EXPECT_EQ(peak.bytes, 1000 + 1080 + 520 + 500 + 100 + 900 + 400 + 4 + 4);
  EXPECT_EQ(peak.by_category.at("activations"), 520 + 500 + 900);
  EXPECT_EQ(peak.by_category.at("outputs"), 408);
  EXPECT_EQ(sum(peak.by_category), peak.bytes);
}

TEST(MemoryTest, DdpsGradientsLieWhereTheyAreAddedUp) {
  const StepMemory step = step_by_hand();
  const int64_t single = single_peak(step, 10).bytes;
  EXPECT_EQ(ddp_peak(step, DdpGradients::in_place, 10).bytes, single);
  EXPECT_EQ(ddp_peak(step, DdpGradients::sharded, 10).bytes, single);
  // Buckets of 1000, and no more than the one gradient that is copied to them.
  const CardPeak buckets = ddp_peak(step, DdpGradients::buckets, 10);
  EXPECT_EQ(buckets.bytes, single + 1000 - 100);
  EXPECT_EQ(buckets.by_category.at("buckets"), 1000);
  EXPECT_EQ(ddp_peak(step, DdpGradients::flat, 10).bytes, single + 1000);
}

TEST(MemoryTest, DataParallelsPrimaryCardHoldsTheWholeBatchAndTheLoss) {
  const auto peaks = data_parallel_peaks(step_by_hand(), {}, 4, 10);
  ASSERT_EQ(peaks.size(), 4u);
  // As the logits' gradient comes. Its own piece's hidden layer; images and labels of
  // 40; the gathered logits of 40, their softmax and gradient; the loss and its
  // gradient.
  EXPECT_EQ(peaks[0].bytes, 1000 + 520 + 4320 + 3 * 1600 + 4 + 4);
  EXPECT_EQ(peaks[0].by_category.at("gathered_outputs"), 1600);
  // A replica, images of 10, the logits' gradient; the logits themselves are gathered.
  for (size_t card = 1; card < 4; ++card) {
    EXPECT_EQ(peaks[card].bytes, 1000 + 1000 + 400 + 520 + 500 + 100 + 900);
    EXPECT_EQ(peaks[card].by_category.at("replicas"), 1000);
    EXPECT_EQ(sum(peaks[card].by_category), peaks[card].bytes);
  }
}

TEST(MemoryTest, ReducingTakesAnArrivedGradientAtATime) {
  // So few samples that the most is live as gradients arrive.
  const auto in_turn = data_parallel_peaks(step_by_hand(), {}, 4, 1);
  EXPECT_EQ(in_turn[0].bytes, 2 * 1000 + 900 + 4 * (100 + 8 + 40 + 40) + 4);
  const auto by_pairs = data_parallel_peaks(step_by_hand(), {.tree = true}, 4, 1);
  EXPECT_EQ(by_pairs[0].bytes, in_turn[0].bytes);
  EXPECT_EQ(by_pairs[2].bytes, 2 * 1000 + 900) << "card 3's gradient comes to card 2";
  EXPECT_EQ(by_pairs[1].bytes, in_turn[1].bytes);
}

TEST(MemoryTest, TheLossInReplicasLeavesThePrimaryCardTheBatchAlone) {
  const auto peaks =
      data_parallel_peaks(step_by_hand(), {.loss_in_replicas = true}, 4, 10);
  const int64_t single = single_peak(step_by_hand(), 10).bytes;
  // Less the logits, which nobody keeps when the loss is there.
  EXPECT_EQ(peaks[0].bytes, single - 400 + 30 * 108);
  EXPECT_EQ(peaks[1].bytes, single - 400 - 80) << "nor the labels";
}

TEST(MemoryTest, APrimaryCardWithASmallerShareHandsItToTheOthers) {
  const StepMemory step = step_by_hand();
  const auto equal = data_parallel_peaks(step, {}, 4, 10);
  const auto peaks = data_parallel_peaks(step, {.primary_share = 0.4}, 4, 10);
  // 4 samples instead of 10, so that its most is live as gradients come together.
  EXPECT_EQ(peaks[0].bytes, 2 * 1000 + 900 + 4320 + 2 * 1600 + 4);
  EXPECT_GT(equal[0].bytes, peaks[0].bytes);
  // 12 instead of 10: images, the logits' gradient, the hidden layer and its gradient.
  EXPECT_EQ(peaks[1].bytes, equal[1].bytes + 2 * (100 + 40 + 50 + 50));
}

TEST(MemoryTest, AnotherOutputCardTakesTheLoss) {
  const StepMemory step = step_by_hand();
  const auto first = data_parallel_peaks(step, {}, 2, 10);
  const auto second = data_parallel_peaks(step, {.output_card = 1}, 2, 10);
  EXPECT_LT(second[0].bytes, first[0].bytes);
  EXPECT_GT(second[1].bytes, first[1].bytes);
  EXPECT_EQ(second[0].by_category.count("outputs"), 0u);
  EXPECT_THROW(data_parallel_peaks(step, {.output_card = 2}, 2, 10),
               std::invalid_argument);
}

// Any affine sequence: what the model tells of a third batch is what a replay of the
// sequence at that batch finds.
TEST(MemoryTest, RandomStepsAreToldToTheByte) {
  std::mt19937 random(0);
  const auto up_to = [&random](int64_t most) {
    return static_cast<int64_t>(random()) % most;
  };
  for (int round = 0; round < 200; ++round) {
    struct Extra {
      size_t at;
      std::string stage;
      int64_t once, each;
    };
    std::vector<Extra> extras;
    for (int i = 0; i < 20; ++i) {
      const bool late = i < 10;  // the later place first: it moves with the other
      extras.push_back({late ? size_t{26} : size_t{12}, late ? "backward" : "forward",
                        up_to(100), up_to(1000)});
    }
    const auto profile = [&](int64_t n) {
      StepProfile made = by_hand(n);
      for (const Extra& extra : extras) {
        const int64_t bytes = extra.once + extra.each * n;
        const auto place = made.events.begin() + static_cast<std::ptrdiff_t>(extra.at);
        made.events.insert(place, {{"activations", extra.stage, bytes},
                                   {"activations", extra.stage, -bytes}});
      }
      return made;
    };
    const int64_t most = 1 + up_to(5000);
    int64_t live = 0, peak = 0;
    for (const MemoryEvent& event : profile(most).events) {
      peak = std::max(peak, live += event.bytes);
    }
    EXPECT_EQ(single_peak({profile(3), profile(5)}, most).bytes, peak);
    EXPECT_EQ(single_peak({profile(8), profile(1)}, most).bytes, peak);
  }
}

std::string refusal(const StepProfile& one, const StepProfile& other) {
  try {
    const StepMemory step(one, other);
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "";
}

TEST(StepMemoryTest, StepsThatAreNotTheSameSequenceAreRefused) {
  const auto spoilt = [](const auto& spoil) {
    StepProfile large = by_hand(8);
    spoil(large.events);
    return refusal(by_hand(4), large);
  };
  using Events = std::vector<MemoryEvent>;
  EXPECT_EQ(spoilt([](Events& events) { events[12].category = "other"; }),
            "the steps at batch 4 and 8 are not the same sequence: event 12 is +220 "
            "bytes of activations in forward and +420 bytes of other in forward; "
            "profile larger batches, such as 8 and 16");
  EXPECT_NE(spoilt([](Events& events) { events[12].stage = "loss"; }), "");
  EXPECT_NE(spoilt([](Events& events) { events[12].bytes = -420; }), "");
  EXPECT_NE(spoilt([](Events& events) { events[12].bytes = 219; }), "") << "it shrinks";
  EXPECT_NE(spoilt([](Events& events) {
              events.pop_back();
            }).find("36 events and 35; profile larger"),
            std::string::npos);
  EXPECT_EQ(spoilt([](Events& events) { events[12].bytes = 220; }), "")
      << "it may stay the same";
}

TEST(StepMemoryTest, WhatIsNoWholeStepIsRefused) {
  EXPECT_NE(refusal(by_hand(4), by_hand(4)).find("take two different ones"),
            std::string::npos);
  EXPECT_NE(refusal({4, {}}, {8, {}}).find("profile one whole step"),
            std::string::npos);
  StepProfile small = by_hand(4), large = by_hand(8);
  for (StepProfile* profile : {&small, &large}) profile->events[15].category = "other";
  EXPECT_NE(refusal(small, large).find("no logits come to a loss"), std::string::npos);
}

}  // namespace
}  // namespace lockstep::predict
