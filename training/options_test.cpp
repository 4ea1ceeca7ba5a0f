#include "training/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <stdexcept>

namespace lockstep::training {
namespace {

std::string refusal_of(const std::function<void(TrainOptions&)>& change) {
  TrainOptions options;
  change(options);
  try {
    validate(options);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(OptionsTest, DefaultsAreValid) { validate(TrainOptions()); }

TEST(OptionsTest, WhatCannotBeIsNamedWithItsValueAndAWayOut) {
  using O = TrainOptions;
  const double nan = std::nan("");
  const std::string more = ": must be 1 or more";
  const std::string number = ": must be a number of 0 or more";
  EXPECT_EQ(refusal_of([](O& o) { o.epochs = 0; }), "--epochs 0" + more);
  EXPECT_EQ(refusal_of([](O& o) { o.steps = -3; }), "--steps -3" + more);
  EXPECT_EQ(refusal_of([](O& o) { o.batch_size = 0; }),
            "--batch-size 0: must be 1 to 1000000000");
  EXPECT_EQ(refusal_of([&](O& o) { o.lr = nan; }), "--lr nan" + number);
  EXPECT_EQ(refusal_of([&](O& o) { o.lr = 1e38; }), "accepted");
  EXPECT_EQ(refusal_of([&](O& o) { o.lr = 1e39; }),
            "--lr 1e+39: must be at most 1e+38");
  EXPECT_EQ(refusal_of([&](O& o) { o.ddp.outer_lr = 1e300; }),
            "--outer-lr 1e+300: must be at most 1e+38");
  EXPECT_EQ(refusal_of([](O& o) { o.lr = -0.25; }), "--lr -0.25" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.lr = -1e-9; }), "--lr -1e-09" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.lr = INFINITY; }), "--lr inf" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.momentum = -1; }), "--momentum -1" + number);
  EXPECT_EQ(refusal_of([&](O& o) { o.weight_decay = nan; }),
            "--weight-decay nan" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.ddp.bucket_cap_mb = -25; }),
            "--bucket-cap-mb -25" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.vocab_size = 1; }),
            "--vocab-size 1: must be 2 to 1000000");
  EXPECT_EQ(refusal_of([](O& o) { o.card_memory_gib = -1; }),
            "--card-memory -1" + number);
  EXPECT_EQ(refusal_of([&](O& o) { o.card_memory_gib = nan; }),
            "--card-memory nan" + number);
  EXPECT_EQ(refusal_of([](O& o) { o.accumulate = 0; }), "--accumulate 0" + more);
  for (const int gpus : {0, -1, 65, 1000}) {
    EXPECT_EQ(
        refusal_of([&](O& o) { o.gpus = gpus; }),
        "--gpus " + std::to_string(gpus) + ": must be a number of cards from 1 to 64");
  }
  EXPECT_EQ(refusal_of([](O& o) { o.threads_per_card = -1; }),
            "--threads-per-card -1: must be 0 (cores / cards) to 1024");
  EXPECT_EQ(refusal_of([](O& o) { o.num_workers = 65; }),
            "--num-workers 65: must be 0 to 64");
  EXPECT_EQ(refusal_of([](O& o) { o.timeout_s = 0; }),
            "--timeout 0: must be 1 to 1000000 seconds");
}

TEST(OptionsTest, TheEdgesAreValid) {
  using O = TrainOptions;
  EXPECT_EQ(refusal_of([](O& o) { o.gpus = 64; }), "accepted");
  EXPECT_EQ(refusal_of([](O& o) { o.lr = 0; }), "accepted");
  EXPECT_EQ(refusal_of([](O& o) { o.ddp.bucket_cap_mb = 0; }), "accepted");
  EXPECT_EQ(refusal_of([](O& o) { o.num_workers = 64; }), "accepted");
}

}  // namespace
}  // namespace lockstep::training
