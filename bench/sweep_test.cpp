// From the command line to the cases.
#include "bench/sweep.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "bench/command_line.h"

namespace lockstep::bench {
namespace {

using Names = std::vector<std::string>;

Names names_of(Sweep sweep, int cores = 4) {
  Names names;
  for (const Case& one : cases_of(sweep, cores)) names.push_back(one.name());
  return names;
}

std::string refusal(const Sweep& sweep) {
  try {
    validate(sweep);
    Sweep filled = sweep;
    cases_of(filled, 2);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(Sweep, SingleStandsAtOneCardAndTheOthersAtEach) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.gpus = {2, 1, 2};
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "dp/mlp/cards:1", "dp/mlp/cards:2",
                   "ddp/mlp/cards:1", "ddp/mlp/cards:2"}));
}

TEST(Sweep, SingleIsThereWhateverTheModes) {
  Sweep sweep;
  sweep.models = {"mlp", "convnet"};
  sweep.gpus = {4};
  sweep.modes = {"ddp"};
  EXPECT_EQ(names_of(sweep), (Names{"single/mlp/cards:1", "ddp/mlp/cards:4",
                                    "single/convnet/cards:1", "ddp/convnet/cards:4"}));
  sweep.modes = {"single"};
  EXPECT_EQ(names_of(sweep), (Names{"single/mlp/cards:1", "single/convnet/cards:1"}));
}

TEST(Sweep, PeersStandBesideTheWaysTheyAreComparedWith) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.gpus = {1, 2};
  sweep.modes = {"ddp"};
  sweep.peers = {"c10d", "python"};
  sweep.shard_optimizer = true;
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "single-python/mlp/cards:1", "ddp/mlp/cards:1",
                   "ddp/mlp/cards:2", "ddp-sharded/mlp/cards:2", "ddp-c10d/mlp/cards:2",
                   "ddp-python/mlp/cards:2", "bound/mlp/cards:2"}));
  sweep.shard_optimizer = false;
  sweep.peers = {"bound"};
  EXPECT_EQ(names_of(sweep), (Names{"single/mlp/cards:1", "ddp/mlp/cards:1",
                                    "ddp/mlp/cards:2", "bound/mlp/cards:2"}));
  sweep.modes = {"single"};
  sweep.peers = {"python"};
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "single-python/mlp/cards:1"}));
}

TEST(Sweep, CardsGoUpToTheCoresIfNotGiven) {
  const auto counts = [](int cores) {
    Sweep sweep;
    cases_of(sweep, cores);
    return sweep.gpus;
  };
  EXPECT_EQ(counts(1), (std::vector<int>{1, 2}));
  EXPECT_EQ(counts(2), (std::vector<int>{1, 2}));
  EXPECT_EQ(counts(6), (std::vector<int>{1, 2, 4}));
  EXPECT_EQ(counts(64), (std::vector<int>{1, 2, 4, 8}));
}

TEST(Sweep, ACardIsTheSameHardwareInEveryCase) {
  Sweep sweep;
  sweep.gpus = {1, 2, 4};
  for (const Case& one : cases_of(sweep, 16))
    EXPECT_EQ(one.threads_per_card, 4) << one.name();
  EXPECT_EQ(sweep.threads_per_card, 4) << "the sweep tells what was run";
  sweep.threads_per_card = 3;
  for (const Case& one : cases_of(sweep, 16))
    EXPECT_EQ(one.threads_per_card, 3) << one.name();
  sweep.threads_per_card = 0;
  for (const Case& one : cases_of(sweep, 2))
    EXPECT_EQ(one.threads_per_card, 1) << one.name();
}

TEST(Sweep, WeakScalingFixesTheLocalBatchAndStrongTheGlobalOne) {
  Sweep sweep;
  sweep.gpus = {1, 2, 4};
  sweep.batch_size = 32;
  for (const Case& one : cases_of(sweep, 4)) {
    EXPECT_EQ(one.local_batch, 32) << one.name();
    EXPECT_EQ(one.global_batch(), 32 * one.cards) << one.name();
  }
  sweep.scaling = "strong";
  for (const Case& one : cases_of(sweep, 4)) {
    EXPECT_EQ(one.global_batch(), 128) << one.name();
    EXPECT_EQ(one.local_batch, 128 / one.cards) << one.name();
  }
}

TEST(Sweep, WhatCannotBeIsNamed) {
  const auto with = [](auto change) {
    Sweep sweep;
    change(sweep);
    return refusal(sweep);
  };
  EXPECT_EQ(refusal(Sweep{}), "");
  EXPECT_EQ(with([](Sweep& s) {
              s.modes = {"dp", "dpp"};
            }),
            "unknown mode 'dpp'; did you mean 'dp'? Known: single, dp, ddp, all");
  EXPECT_EQ(with([](Sweep& s) { s.scaling = "weka"; }),
            "unknown scaling 'weka'; did you mean 'weak'? Known: weak, strong");
  EXPECT_EQ(with([](Sweep& s) {
              s.gpus = {1, 65};
            }),
            "--gpus 65: must be a number of cards from 1 to 64");
  EXPECT_EQ(with([](Sweep& s) { s.warmup = -1; }), "--warmup -1: must be 0 or more");
  EXPECT_EQ(with([](Sweep& s) {
              s.scaling = "strong";
              s.gpus = {2, 3};
              s.batch_size = 1;
            }),
            "--scaling strong: the global batch of 3 does not divide by 2 cards; try "
            "--batch-size 2");
}

TEST(BenchLine, ListsSweepAndUnderscoresAreHyphens) {
  const BenchLine line = parse_bench_line({"--gpus", "1,2,4", "--model", "mlp,convnet",
                                           "--batch_size=8", "--benchmark_min_time=1"});
  EXPECT_EQ(line.sweep.gpus, (std::vector<int>{1, 2, 4}));
  EXPECT_EQ(line.sweep.models, (Names{"mlp", "convnet"}));
  EXPECT_EQ(line.sweep.batch_size, 8);
  EXPECT_EQ(line.benchmark_flags, Names{"--benchmark_min_time=1"});
  EXPECT_THROW(parse_bench_line({"--benchmark_out=x"}), std::invalid_argument);
  EXPECT_THROW(parse_bench_line({"--benchmark_list_tests"}), std::invalid_argument);
}

TEST(BenchLine, SyntheticImagesStandInLoudlyForMissingOnes) {
  BenchLine line;
  line.sweep.data_dir =
      std::filesystem::temp_directory_path() / "lockstep-no-such-folder";
  const Names told = fall_back_to_synthetic(line);
  EXPECT_EQ(line.sweep.dataset_of("mlp"), "synthetic");
  EXPECT_EQ(line.sweep.dataset_of("transformer"), "tokens");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_NE(told[0].find("lockstep-no-such-folder"), std::string::npos);
  EXPECT_NE(told[0].find("apt-get install dataset-fashion-mnist"), std::string::npos);
  EXPECT_NE(told[1].find("SYNTHETIC"), std::string::npos);
}

TEST(BenchLine, WhatWasAskedForIsNeverReplaced) {
  BenchLine line = parse_bench_line({"--data-dir", "lockstep-no-such-folder"});
  EXPECT_EQ(fall_back_to_synthetic(line), Names{});
  EXPECT_EQ(line.sweep.dataset_of("mlp"), "fashion-mnist");
  line = parse_bench_line({"--dataset", "mnist", "--model", "mlp,transformer"});
  EXPECT_EQ(fall_back_to_synthetic(line), Names{});
  EXPECT_EQ(line.sweep.dataset_of("transformer"), "mnist");
}

TEST(BenchLine, EveryModelHasItsOwnDataSet) {
  BenchLine line = parse_bench_line({"--model", "transformer,linear"});
  line.sweep.data_dir = "lockstep-no-such-folder";
  EXPECT_EQ(fall_back_to_synthetic(line), Names{}) << "none of them wants images";
  EXPECT_EQ(line.sweep.dataset_of("transformer-tied"), "tokens");
  EXPECT_EQ(line.sweep.dataset_of("linear"), "features100");
  EXPECT_EQ(line.sweep.dataset_of("convnet"), "fashion-mnist");
}

}  // namespace
}  // namespace lockstep::bench
