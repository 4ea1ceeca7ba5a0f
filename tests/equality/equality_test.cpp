// Parallel training is single-card training: the same samples give the same losses and
// the same parameters, whatever the number of cards and whoever brings the gradients
// together. One card that takes the whole global batch is the oracle; what it computes
// is what LibTorch's Python loop does (python_test.cpp).
//
// How equal, and over how many steps, is DESIGN's "How equal is equal": in fp64 to
// 1e-10 throughout; in fp32 ReLU's flips amplify rounding, so a convolutional net is
// compared over the first steps alone.
#include <gtest/gtest.h>

#include "tests/equality/run.h"
#include "tests/equality/within.h"

namespace lockstep::equality {
namespace {

// Both halves of kOne's batch; each card has one thread.
const std::string kTwo = " --gpus 2 --batch-size 16 --threads-per-card 1";
const std::vector<std::string> kParallel = {
    "data_parallel" + kTwo,
    "ddp --reducer naive" + kTwo,
    "ddp --reducer flat" + kTwo,
    "ddp --reducer bucketed" + kTwo,
    "horovod" + kTwo,
};

class Fp64 : public testing::TestWithParam<std::string> {};

TEST_P(Fp64, LossesAndParametersOfAHundredStepsEqualOneCards) {
  const std::string work = workload(GetParam(), "fp64", kSteps);
  const WatchedRun& one = watched(kOne + work);
  for (const std::string& program : kParallel) {
    const WatchedRun& two = watched(program + work);
    expect_within(1e-10, apart(two.losses, one.losses, kSteps),
                  program + work + ", losses");
    expect_within(1e-10, apart(two.tensors, one.tensors),
                  program + work + ", parameters");
  }
  EXPECT_LT(one.losses.back(), one.losses.front());
}

INSTANTIATE_TEST_SUITE_P(Models, Fp64, testing::Values("mlp", "convnet-plain"),
                         [](const auto& info) {
                           return info.index == 0 ? "Mlp" : "ConvnetPlain";
                         });

// The programs as they are installed, without a witness.
TEST(Programs, GiveTheSameLosses) {
  const std::string fp64 = workload("mlp", "fp64", kSteps);
  for (const std::string& program : kParallel) {
    expect_within(
        1e-10,
        apart(program_losses(program + fp64), program_losses(kOne + fp64), kSteps),
        program + fp64);
  }
}

// Of 32 samples, on two cards and on three, where they do not divide.
TEST(Programs, OfDataParallelGiveThemWithEachOption) {
  const std::string fp64 = workload("mlp", "fp64", kSteps);
  for (const std::string option :
       {"--gpus 2 --dp-loss replica", "--gpus 2 --replicate every-step",
        "--gpus 4 --dp-reduce tree --primary-share 0.3",
        "--device-ids 2,0 --output-device 0",
        "--gpus 4 --dp-loss replica --dp-reduce tree --primary-share 0.5"}) {
    const std::string program =
        "data_parallel --threads-per-card 1 --global-batch-size 32 " + option;
    expect_within(
        1e-10,
        apart(program_losses(program + fp64), program_losses(kOne + fp64), kSteps),
        program + fp64);
  }
}

// A quarter of the global batch, twice a step, with --accumulate.
TEST(Programs, OfDdpGiveThemWithEachOption) {
  const std::string fp64 = workload("mlp", "fp64", kSteps);
  for (const std::string option :
       {"--batch-size 16 --reducer c10d", "--batch-size 16 --static-graph",
        "--batch-size 16 --find-unused-parameters",
        "--batch-size 16 --no-gradient-as-bucket-view",
        "--batch-size 16 --shard-optimizer",
        "--batch-size 8 --accumulate 2 --shard-optimizer",
        "--batch-size 8 --accumulate 2",
        "--batch-size 8 --accumulate 2 --reducer flat"}) {
    const std::string program = "ddp --gpus 2 --threads-per-card 1 " + option;
    expect_within(
        1e-10,
        apart(program_losses(program + fp64), program_losses(kOne + fp64), kSteps),
        program + fp64);
  }
}

// 8,192 samples on three cards: the last batch is of one sample on two of them, and of
// none on the third. Padded, the losses would be of 8,193.
TEST(Programs, OfDdpTakeNoSampleTwiceWithJoin) {
  const std::string work = " --model linear --precision fp64 --threads-per-card 1";
  const auto& one = program_losses("single_gpu --batch-size 8190" + work);
  for (const std::string reducer : {"bucketed", "c10d"}) {
    const std::string program =
        "ddp --gpus 3 --join --batch-size 2730 --reducer " + reducer + work;
    expect_within(1e-10, apart(program_losses(program), one, 2), program);
  }
}

class ShardedOptimizer : public testing::TestWithParam<std::string> {};

// With momentum, whose shares lie on the ranks.
TEST_P(ShardedOptimizer, GivesOneCardsLossesAndParameters) {
  for (const auto& [model, steps] :
       {std::pair("mlp", kSteps), std::pair("convnet-plain", 2 * kFirstSteps)}) {
    const std::string work = workload(model, "fp64", steps) + " --momentum 0.9";
    const WatchedRun& one = watched(kOne + work);
    const std::string program =
        "ddp --shard-optimizer --backend " + GetParam() + kTwo + work;
    const WatchedRun& two = watched(program);
    expect_within(1e-10, apart(two.losses, one.losses, steps), program + ", losses");
    expect_within(1e-10, apart(two.tensors, one.tensors), program + ", parameters");
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ShardedOptimizer, testing::Values("shm", "gloo"),
                         [](const auto& info) { return info.param; });

TEST(Programs, GiveTheSameLossesInFp32) {
  for (const std::string& program : kParallel) {
    const std::string mlp = workload("mlp", "fp32", kSteps);
    expect_within(
        1e-5, apart(program_losses(program + mlp), program_losses(kOne + mlp), kSteps),
        program + mlp);
    const std::string plain = workload("convnet-plain", "fp32", kFirstSteps);
    expect_within(1e-5,
                  apart(program_losses(program + plain), program_losses(kOne + plain),
                        kFirstSteps),
                  program + plain);
  }
}

// Batch norm sees local batches, so the oracle takes the two of them in turn, and
// updates the running statistics from the first.
TEST(BatchNorm, IsThatOfOneCardWhichTakesTheLocalBatchesInTurn) {
  const std::string work = workload("convnet", "fp64", kSteps);
  const std::string in_turn =
      "single_gpu --batch-size 16 --accumulate 2 --threads-per-card 2";
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"data_parallel" + kTwo, in_turn},
      {"ddp" + kTwo, in_turn + " --sampler ranks-in-turn"},
  };
  for (const auto& [program, oracle] : pairs) {
    const WatchedRun& two = watched(program + work);
    const WatchedRun& one = watched(oracle + work);
    expect_within(1e-6, apart(two.losses, one.losses, kSteps),
                  program + work + ", losses");
    expect_within(1e-6, apart(two.tensors, one.tensors),
                  program + work + ", parameters and running statistics");
    EXPECT_EQ(one.tensors.at("1.num_batches_tracked").item<int64_t>(), int64_t{kSteps});
  }
}

// Over all ranks it is that of the whole batch, and so is what it keeps.
TEST(BatchNorm, SynchronisedIsThatOfOneCardOnTheWholeBatch) {
  const std::string work = workload("convnet", "fp64", kFirstSteps);
  const std::string program = "ddp --sync-batch-norm" + kTwo + work;
  const WatchedRun& one = watched(kOne + work);
  const WatchedRun& two = watched(program);
  expect_within(1e-10, apart(two.losses, one.losses, kFirstSteps), program);
  expect_within(1e-10, apart(two.tensors, one.tensors),
                program + ", parameters and running statistics");
}

}  // namespace
}  // namespace lockstep::equality
