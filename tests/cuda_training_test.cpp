// Training on a CUDA device gives the losses of training on the CPU, whatever the way:
// ranks that share a device under NCCL, a step replayed as a graph, kernels launched
// one at a time. Without a device it is waived, by name. (What CUDA runs report:
// cuda_report_test.cpp.)
#include <algorithm>
#include <utility>

#include "tests/cuda_runs.h"
#include "tests/equality/within.h"

namespace lockstep::equality {
namespace {

class Cuda : public OnCuda {
 protected:
  static void SetUpTestSuite() {
    static bool said = false;  // by the first of the suites
    if (std::exchange(said, true)) return;
    const auto devices = device::cuda_devices();
    if (devices.count == 0) {
      waive("tests/cuda_training_test", devices.reason);
    } else if (devices.count == 1) {
      waive("tests/cuda_training_test (two devices)", devices.reason);
    }
  }
  static const std::vector<double>& on_cuda(const std::string& command_line) {
    return losses_on("cuda", command_line);
  }
};

// What a CPU computes in fp64 in seconds: the large networks take small batches, and
// steps of them so small that a hundred do not multiply rounding out of all bounds
// (verify.h, Note [Where rounding alone parts two runs]).
struct Work {
  std::string name, model;
  size_t steps = 100;
  std::string more{};
};

void PrintTo(const Work& work, std::ostream* out) { *out << work.model; }

const std::vector<Work> kWork = {
    {"Mlp", "mlp"},
    {"MlpWide", "mlp-wide"},
    {"ConvnetPlain", "convnet-plain"},
    {"Convnet", "convnet"},
    {"Resnet18", "resnet18", 100, " --batch-size 4 --lr 0.001"},
    {"Resnet50", "resnet50", 20, " --batch-size 2 --lr 0.001"},
    {"Transformer", "transformer", 100, " --batch-size 4 --vocab-size 5000"},
    {"TransformerTied", "transformer-tied", 100, " --batch-size 4 --vocab-size 5000"}};

class LossesOfOneCard : public Cuda, public testing::WithParamInterface<Work> {};

TEST_P(LossesOfOneCard, AreTheCpusInFp64) {
  const Work& each = GetParam();
  const std::string work =
      "single_gpu" + workload(each.model, "fp64", each.steps) + each.more;
  if (each.steps < kSteps) {
    waive("tests/cuda_training_test (" + each.model + ", steps " +
              std::to_string(each.steps) + " to 99)",
          "shortened: a CPU takes seconds a step");
  }
  expect_within(1e-9,
                apart(on_cuda(work), losses_on("cpu", work + " --threads-per-card 8"),
                      each.steps),
                work);
}

INSTANTIATE_TEST_SUITE_P(Cuda, LossesOfOneCard, testing::ValuesIn(kWork),
                         [](const auto& info) { return info.param.name; });

TEST_F(Cuda, OneCardsLossesAreTheCpusInFp32) {
  const std::string fp32 = "single_gpu --steps 100 --model mlp";
  expect_within(1e-4, apart(on_cuda(fp32), losses_on("cpu", fp32), 100), fp32);
}

TEST_F(Cuda, PinnedBatchesAndWorkersChangeNothing) {
  const std::string work = "single_gpu --steps 50 --model mlp --precision fp64";
  EXPECT_EQ(on_cuda(work + " --pin-memory --num-workers 2"), on_cuda(work));
}

// Two and four of them under NCCL itself, over sockets.
TEST_F(Cuda, RanksThatShareADeviceGiveOneCardsLosses) {
  const std::string work = " --precision fp64 --steps 50 --model mlp";
  const auto& one = on_cuda("single_gpu --batch-size 128" + work);
  const std::vector<std::pair<int, std::string>> ways = {
      {1, "bucketed"}, {2, "bucketed"}, {2, "naive"}, {2, "flat"}, {4, "bucketed"}};
  for (const auto& [ranks, reducer] : ways) {
    const std::string command = "ddp --backend nccl --ranks-per-gpu " +
                                std::to_string(ranks) + " --global-batch-size 128" +
                                " --reducer " + reducer + work;
    expect_within(1e-10, apart(on_cuda(command), one, 50), command);
  }
}

TEST_F(Cuda, DataParallelGivesOneCardsLosses) {
  const std::string work =
      " --precision fp64 --steps 50 --model mlp --global-batch-size 128";
  const auto& one = on_cuda("single_gpu" + work);
  for (int cards = 1; cards <= std::min(2, device::cuda_devices().count); ++cards) {
    const std::string command = "data_parallel --gpus " + std::to_string(cards) + work;
    expect_within(1e-10, apart(on_cuda(command), one, 50), command);
  }
}

// The first steps of a run are taken before one is recorded.
TEST_F(Cuda, AStepThatIsReplayedGivesTheSameLosses) {
  const std::string work = " --precision fp64 --steps 30 --model ";
  for (const std::string command :
       {"single_gpu" + work + "mlp", "single_gpu" + work + "convnet",
        "single_gpu" + work + "transformer --batch-size 4 --vocab-size 5000",
        "ddp --backend nccl" + work + "mlp",
        "ddp --backend nccl --ranks-per-gpu 2" + work + "mlp"}) {
    const TrainReport replayed = report_of("cuda", command + " --cuda-graph");
    EXPECT_EQ(replayed.phases_ms.count("graph"), 1U) << command;
    EXPECT_EQ(replayed.notes, std::vector<std::string>{}) << command;
    expect_within(1e-12, apart(replayed.losses, on_cuda(command), 30),
                  command + " --cuda-graph");
  }
}

// Where nothing has a choice, to the bit.
TEST_F(Cuda, AReplayedStepThatIsDeterministicGivesTheSameBits) {
  for (const std::string model : {"mlp", "convnet", "resnet18 --batch-size 16"}) {
    const std::string work = "single_gpu --deterministic --steps 12 --model " + model;
    EXPECT_EQ(on_cuda(work + " --cuda-graph"), on_cuda(work)) << work;
  }
}

// Each kernel ends before the next one is launched: an order between streams that the
// program forgot to ask for shows as another loss.
TEST_F(Cuda, KernelsOneAtATimeGiveTheSameBits) {
  for (const std::string work :
       {"single_gpu --steps 50 --model mlp",
        "single_gpu --steps 50 --model mlp --pin-memory --num-workers 2",
        "single_gpu --deterministic --steps 12 --model convnet",
        "single_gpu --deterministic --steps 12 --model resnet18 --batch-size 16",
        "ddp --backend nccl --ranks-per-gpu 2 --steps 30 --model mlp-wide "
        "--bucket-cap-mb 1"}) {
    Words blocking = {"env", "CUDA_LAUNCH_BLOCKING=1"};
    for (const std::string& word : command_on("cuda", work)) blocking.push_back(word);
    EXPECT_EQ(losses(blocking), on_cuda(work)) << work;
  }
}

// Bars: ten bits of mantissa are 1e-3 of a product, seven 8e-3.
TEST_F(Cuda, WhatRoundsStaysNearFp32) {
  for (const std::string model : {"mlp", "convnet"}) {
    const std::string work = "single_gpu --steps 10 --model " + model;
    const auto& fp32 = on_cuda(work);
    for (const auto& [option, bar] :
         {std::pair<std::string, double>{" --precision tf32", 1e-2},
          {" --precision bf16", 5e-2},
          {" --precision bf16 --channels-last", 5e-2},
          {" --channels-last", 1e-3}}) {
      expect_within(bar, apart(on_cuda(work + option), fp32, 10), work + option);
    }
  }
}

}  // namespace
}  // namespace lockstep::equality
