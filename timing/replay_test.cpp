// By hand-made numbers; that a step of ours replays to itself:
// ddp/recorded_times_test.cpp.
#include "timing/replay.h"

#include <gtest/gtest.h>

namespace lockstep::timing {
namespace {

// Backward from 100 to 200; buckets of 30, 10 and 40 us.
const Replay kStep = {.begin_us = 0,
                      .backward_end_us = 200,
                      .after_us = 7,
                      .ready_us = {120, 130, 190},
                      .duration_us = {30, 10, 40}};

TEST(Replay, EachBucketStartsWhenItIsReadyAndTheOneBeforeIsOver) {
  // 120-150, 150-160, 190-230.
  EXPECT_EQ(ideal_end_us(kStep), 230 + 7);
  // 200-230, 230-240, 240-280.
  EXPECT_EQ(sync_end_us(kStep), 280 + 7);
}

TEST(Replay, WhatIsOverBeforeBackwardCostsNothing) {
  Replay step = kStep;
  step.duration_us = {30, 10, 5};
  EXPECT_EQ(ideal_end_us(step), 200 + 7);
  step.ready_us.clear();
  step.duration_us.clear();
  EXPECT_EQ(ideal_end_us(step), 200 + 7);
  EXPECT_EQ(sync_end_us(step), 200 + 7);
}

TEST(Replay, ASlowLinkIsBusyFromTheFirstBucketOn) {
  Replay step = kStep;
  step.duration_us = {300, 100, 400};
  EXPECT_EQ(ideal_end_us(step), 120 + 800 + 7);
}

// Two ranks; the second begins 5 us later and is slower.
std::vector<StepTimes> two_ranks() {
  const StepTimes first = {
      3, 0, 0, 100, 200, 290, {{10, 120, 200, 289}, {20, 150, 200, 280}}};
  const StepTimes second = {
      3, 1, 5, 110, 210, 292, {{10, 140, 210, 291}, {20, 145, 211, 270}}};
  return {first, second};
}

TEST(Replay, AStepOfSeveralRanksIsTheSlowestOnesInEverything) {
  const Replay step = replay_of(two_ranks(), 300);
  EXPECT_EQ(step.begin_us, 5);
  EXPECT_EQ(step.backward_end_us, 210);
  EXPECT_EQ(step.ready_us, (std::vector<double>{140, 150}));
  // Both under way side by side, from 210 to 291.
  EXPECT_EQ(step.duration_us, (std::vector<double>{27, 54}));
  EXPECT_EQ(step.after_us, 300 - 291);
  EXPECT_EQ(sync_end_us(step), 300) << "as it was";
  EXPECT_EQ(ideal_end_us(step), 140 + 27 + 54 + 9);
}

TEST(Replay, CollectivesOneAfterTheOtherTakeWhatTheyTook) {
  const StepTimes step = {
      0, 0, 0, 10, 100, 290, {{1, 20, 20, 30}, {9, 30, 30, 35}, {5, 90, 95, 120}}};
  EXPECT_EQ(replay_of({step}, 130).duration_us, (std::vector<double>{10, 5, 25}));
  EXPECT_EQ(replay_of({step}, 130).after_us, 10);
}

TEST(StepLengths, AreMediansWithoutTheWarmUpAndTheLast) {
  RunTimes run;
  run.world_size = 2;
  // Steps begin at 0, 1000, 1300, 1600, 2000: 1000, 300, 300 and 400 long.
  for (const double begin : {0.0, 1000.0, 1300.0, 1600.0, 2000.0}) {
    for (StepTimes rank : two_ranks()) {
      rank.step = std::ssize(run.steps) / 2;
      for (double* us : {&rank.begin_us, &rank.backward_us, &rank.backward_end_us,
                         &rank.reduced_us}) {
        *us += begin;
      }
      for (BucketTimes& bucket : rank.buckets) {
        for (double* us : {&bucket.ready_us, &bucket.launch_us, &bucket.finish_us}) {
          *us += begin;
        }
      }
      run.steps.push_back(rank);
    }
  }
  const StepLengths lengths = step_lengths(run, 1);
  EXPECT_EQ(lengths.steps, 3);
  EXPECT_EQ(lengths.taken_us, 300);
  EXPECT_EQ(lengths.ideal_us, 230);
  EXPECT_EQ(step_lengths(run, 4).steps, 0);
  EXPECT_EQ(step_lengths({}, 0).steps, 0);
}

}  // namespace
}  // namespace lockstep::timing
