// From the command line to the cases.
#include "cases/sweep.h"

#include <gtest/gtest.h>

#include "cases/sweep_names.h"

namespace lockstep::cases {
namespace {

TEST(Sweep, SingleStandsAtOneCardAndTheOthersAtEach) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.gpus = {2, 1, 2};
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "dp/mlp/cards:1", "dp/mlp/cards:2",
                   "ddp/mlp/cards:1", "ddp/mlp/cards:2", "horovod/mlp/cards:1",
                   "horovod/mlp/cards:2"}));
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
  sweep.batch_sizes = {32};
  for (const Case& one : cases_of(sweep, 4)) {
    EXPECT_EQ(one.local_batch, 32) << one.name();
    EXPECT_EQ(one.global_batch(), 32 * one.cards) << one.name();
  }
  sweep.scalings = {"strong"};
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
            "unknown mode 'dpp'; did you mean 'dp'? Known: single, dp, ddp, horovod, "
            "all");
  EXPECT_EQ(with([](Sweep& s) {
              s.scalings = {"weak", "weka"};
            }),
            "unknown scaling 'weka'; did you mean 'weak'? Known: weak, strong");
  EXPECT_EQ(with([](Sweep& s) {
              s.gpus = {1, 65};
            }),
            "--gpus 65: must be a number of cards from 1 to 64");
  EXPECT_EQ(with([](Sweep& s) { s.warmup = -1; }), "--warmup -1: must be 0 or more");
  EXPECT_EQ(with([](Sweep& s) {
              s.scalings = {"strong"};
              s.gpus = {2, 3};
              s.batch_sizes = {1};
            }),
            "--scaling strong: the global batch of 3 does not divide by 2 cards; try "
            "--batch-size 2");
}

TEST(Sweep, OnCudaDataParallelHasPeersOfItsOwn) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"dp"};
  sweep.gpus = {1, 2};
  sweep.device = "cuda";
  sweep.peers = {"python", "libtorch"};
  EXPECT_EQ(
      names_of(sweep),
      (Names{"single/mlp/cards:1", "single-python/mlp/cards:1", "dp/mlp/cards:1",
             "dp/mlp/cards:2", "dp-libtorch/mlp/cards:2", "dp-python/mlp/cards:2"}));
  sweep.modes = {"ddp"};
  EXPECT_NE(refusal(sweep).find("try --mode dp"), std::string::npos) << refusal(sweep);
  sweep.device = "cpu";
  EXPECT_NE(refusal(sweep).find("try --device cuda"), std::string::npos)
      << refusal(sweep);
}

TEST(Sweep, PythonCompiledStandsBesideOneCard) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"single"};
  sweep.peers = {"python", "python-compile"};
  const Names all = {"single/mlp/cards:1", "single-python/mlp/cards:1",
                     "single-python-compile/mlp/cards:1"};
  for (const char* device : {"cpu", "cuda"}) {
    sweep.device = device;
    EXPECT_EQ(refusal(sweep), "");
    EXPECT_EQ(names_of(sweep), all) << device;
  }
  sweep.peers = {"python-compile"};
  EXPECT_EQ(names_of(sweep), (Names{all[0], all[2]}));
  sweep.warmup = 1;
  EXPECT_EQ(refusal(sweep),
            "--peers python-compile compiles in its first steps; give --warmup 2 or "
            "more");
  sweep.warmup = 2;
  EXPECT_EQ(refusal(sweep), "");
  sweep.device = "auto";
  EXPECT_EQ(refusal(sweep),
            "--peers python-compile: Python's loop has no --device auto; name cpu or "
            "cuda");
}

TEST(Sweep, RanksShareACudaCardWhereTheyMay) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp", "horovod"};
  sweep.gpus = {1, 2, 4, 8};
  sweep.device = "cuda";
  sweep.ranks_per_gpu = 4;
  sweep.peers = {"python"};
  EXPECT_EQ(refusal(sweep), "");
  std::vector<std::string> ranks;
  for (const Case& one : cases_of(sweep, 4)) {
    ranks.push_back(one.mode + " " + std::to_string(one.cards) + "/" +
                    std::to_string(one.ranks_per_gpu));
    if (one.mode == "ddp-python") {
      EXPECT_EQ(one.ddp.backend, "nccl");
    }
  }
  EXPECT_EQ(ranks, (Names{"single 1/1", "single-python 1/1", "ddp 1/1", "ddp 2/2",
                          "ddp-python 2/2", "ddp 4/4", "ddp-python 4/4", "ddp 8/4",
                          "ddp-python 8/4", "horovod 1/1", "horovod 2/2", "horovod 4/4",
                          "horovod 8/4"}));
  const auto with = [&](auto change) {
    Sweep changed = sweep;
    change(changed);
    return refusal(changed);
  };
  EXPECT_EQ(with([](Sweep& s) {
              s.gpus = {1, 6};
            }),
            "--gpus 6: no whole number of cards of --ranks-per-gpu 4");
  EXPECT_EQ(with([](Sweep& s) { s.device = "cpu"; }),
            "--ranks-per-gpu 4: only CUDA cards can be shared; try --device cuda");
  EXPECT_EQ(with([](Sweep& s) {
              s.modes = {"ddp", "dp"};
            }),
            "--ranks-per-gpu 4: DataParallel has no ranks that could share a card; try "
            "--mode ddp");
  EXPECT_EQ(with([](Sweep& s) { s.gpus = {1}; }),
            "--ranks-per-gpu is of DDP's or Horovod's ranks; try --mode ddp --gpus 2");
  EXPECT_EQ(with([](Sweep& s) { s.ranks_per_gpu = 0; }),
            "--ranks-per-gpu 0: must be 1 or more");
}

TEST(Sweep, WaysOfDataParallelAreAllCombinations) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"dp"};
  sweep.gpus = {2};
  sweep.dp_reduce = {"auto", "tree"};
  sweep.dp_loss = {"primary", "replica"};
  sweep.primary_share = {0.5};
  sweep.peers = {"bound"};
  EXPECT_EQ(
      names_of(sweep),
      (Names{"single/mlp/cards:1", "dp-share-0.5/mlp/cards:2",
             "dp-loss-replica-share-0.5/mlp/cards:2", "dp-tree-share-0.5/mlp/cards:2",
             "dp-tree-loss-replica-share-0.5/mlp/cards:2", "bound/mlp/cards:2"}));
  const Names once = names_of(sweep);
  sweep.dp_reduce = {"auto", "tree", "auto"};
  sweep.primary_share = {0.5, 0.5};
  EXPECT_EQ(names_of(sweep), once) << "a case that is named twice is run once";
  const std::string nowhere =
      "--dp-reduce, --replicate, --dp-loss and --primary-share are DataParallel's on "
      "several cards; try --mode dp --gpus 2";
  sweep.gpus = {1};
  sweep.peers = {};
  EXPECT_EQ(refusal(sweep), nowhere) << "one card has nobody to share with";
  sweep.gpus = {1, 2};
  sweep.modes = {"single", "ddp"};
  EXPECT_EQ(refusal(sweep), nowhere);
  sweep.dp_reduce = {"auto"};
  sweep.dp_loss = {"primary"};
  EXPECT_EQ(refusal(sweep), nowhere);
  sweep.primary_share = {1};
  EXPECT_EQ(refusal(sweep), "");
  sweep.dp_reduce = {"tre"};
  EXPECT_EQ(refusal(sweep).rfind("unknown --dp-reduce 'tre'; did you mean 'tree'?", 0),
            0U)
      << refusal(sweep);
}

}  // namespace
}  // namespace lockstep::cases
