// Parallel training is single-card training: the same samples give the same losses and
// the same parameters, whatever the number of cards and whoever brings the gradients
// together. One card that takes the whole global batch is the oracle; and LibTorch's
// Python loop is, for all of them.
//
// How equal, and over how many steps, is DESIGN's "How equal is equal": in fp64 to
// 1e-10 throughout; in fp32 ReLU's flips amplify rounding, so a convolutional net is
// compared over the first steps alone.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/equality/run.h"

namespace lockstep::equality {
namespace {

constexpr size_t kSteps = 100;
constexpr size_t kFirstSteps = 10;

// Both halves of the global batch of 128, one card or two. An emulated card has one
// thread in DataParallel and DDP; the single one has both cores.
const std::string kOne = "single_gpu --batch-size 128 --threads-per-card 2";
const std::string kTwo = " --gpus 2 --batch-size 64 --threads-per-card 1";
const std::vector<std::string> kParallel = {
    "data_parallel" + kTwo,
    "ddp --reducer naive" + kTwo,
    "ddp --reducer flat" + kTwo,
    "ddp --reducer bucketed" + kTwo,
};

std::string workload(const std::string& model, const std::string& precision,
                     size_t steps) {
  return " --model " + model + " --precision " + precision + " --steps " +
         std::to_string(steps);
}

// The bar, and the figure on record.
void expect_within(double bar, double error, const std::string& what) {
  std::printf("%-9.1e of %.0e: %s\n", error, bar, what.c_str());
  EXPECT_LE(error, bar) << what;
}

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

// Of 128 samples, on two cards and on three, where they do not divide.
TEST(Programs, OfDataParallelGiveThemWithEachOption) {
  const std::string fp64 = workload("mlp", "fp64", kSteps);
  for (const std::string option :
       {"--gpus 2 --dp-loss replica", "--gpus 2 --replicate every-step",
        "--gpus 4 --dp-reduce tree --primary-share 0.3",
        "--device-ids 2,0 --output-device 0",
        "--gpus 4 --dp-loss replica --dp-reduce tree --primary-share 0.5"}) {
    const std::string program =
        "data_parallel --threads-per-card 1 --global-batch-size 128 " + option;
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
       {"--batch-size 64 --reducer c10d", "--batch-size 64 --static-graph",
        "--batch-size 64 --find-unused-parameters",
        "--batch-size 64 --no-gradient-as-bucket-view",
        "--batch-size 64 --shard-optimizer",
        "--batch-size 32 --accumulate 2 --shard-optimizer",
        "--batch-size 32 --accumulate 2",
        "--batch-size 32 --accumulate 2 --reducer flat"}) {
    const std::string program = "ddp --gpus 2 --threads-per-card 1 " + option;
    expect_within(
        1e-10,
        apart(program_losses(program + fp64), program_losses(kOne + fp64), kSteps),
        program + fp64);
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
      "single_gpu --batch-size 64 --accumulate 2 --threads-per-card 2";
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

class PythonLosses : public testing::TestWithParam<std::string> {};

TEST_P(PythonLosses, InFp64EqualOurs) {
  const std::string work = workload(GetParam(), "fp64", kSteps);
  const std::vector<double>& ours = watched(kOne + work).losses;
  expect_within(
      1e-9,
      apart(python_losses(1, "--batch-size 128 --threads 2" + work), ours, kSteps),
      "Python, one process" + work);
  expect_within(1e-9, apart(python_losses(2, "--batch-size 64" + work), ours, kSteps),
                "Python, two ranks" + work);
}

TEST_P(PythonLosses, InFp32EqualOurs) {
  const size_t steps = GetParam() == "mlp" ? kSteps : kFirstSteps;
  const std::string work = workload(GetParam(), "fp32", steps);
  const std::vector<double>& ours = program_losses(kOne + work);
  expect_within(
      1e-4, apart(python_losses(1, "--batch-size 128 --threads 2" + work), ours, steps),
      "Python, one process" + work);
  expect_within(1e-4, apart(python_losses(2, "--batch-size 64" + work), ours, steps),
                "Python, two ranks" + work);
}

INSTANTIATE_TEST_SUITE_P(Models, PythonLosses, testing::Values("mlp", "convnet-plain"),
                         [](const auto& info) {
                           return info.index == 0 ? "Mlp" : "ConvnetPlain";
                         });

// Nine steps an epoch, the last of them smaller: the order of each epoch is its own.
TEST(Python, GoesThroughEpochsAsWeDo) {
  const std::string work = workload("mlp", "fp64", 11);
  const std::vector<double>& python_one =
      python_losses(1, "--batch-size 7000 --threads 2" + work);
  const std::vector<double>& python_two = python_losses(2, "--batch-size 3500" + work);
  expect_within(
      1e-9,
      apart(program_losses("single_gpu --batch-size 7000" + work), python_one, 11),
      "Python, one process, two epochs");
  expect_within(
      1e-9,
      apart(program_losses("ddp --gpus 2 --batch-size 3500" + work), python_two, 11),
      "Python, two ranks, two epochs");
}

}  // namespace
}  // namespace lockstep::equality
