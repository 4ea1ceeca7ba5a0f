// Training on a CUDA device gives the losses of training on the CPU, and ranks that
// share a device under NCCL those of one card. Without a device it is waived, by name.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "device/cuda.h"
#include "tests/equality/run.h"
#include "tests/program_run.h"

namespace lockstep::equality {
namespace {

class Cuda : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto devices = device::cuda_devices();
    if (devices.count == 0) {
      std::printf("WAIVED: tests/cuda_training_test: %s\n", devices.reason.c_str());
    } else if (devices.count == 1) {
      std::printf("WAIVED: tests/cuda_training_test (two devices): %s\n",
                  devices.reason.c_str());
    }
  }
  void SetUp() override {
    if (device::cuda_devices().count == 0) GTEST_SKIP() << "waived: no CUDA device";
  }

  static const std::vector<double>& on(const std::string& device,
                                       const std::string& command_line) {
    Words command = words(command_line + " --quiet --device " + device);
    command[0] = program_path(command[0]);
    // Carried to another machine (gpu_check.sh) it brings its images along.
    if (const char* images = std::getenv("LOCKSTEP_IMAGES")) {
      command.insert(command.end(), {"--data-dir", images});
    }
    return losses(command);
  }
  static const std::vector<double>& on_cuda(const std::string& command_line) {
    return on("cuda", command_line);
  }

  static void expect_within(double bar, double error, const std::string& what) {
    std::printf("%-9.1e of %.0e: %s\n", error, bar, what.c_str());
    EXPECT_LE(error, bar) << what;
  }
};

TEST_F(Cuda, OneCardsLossesAreTheCpus) {
  for (const std::string model : {"mlp", "mlp-wide", "convnet-plain", "convnet"}) {
    const std::string work = "single_gpu --precision fp64 --steps 100 --model " + model;
    expect_within(1e-9, apart(on_cuda(work), on("cpu", work), 100), work);
  }
  const std::string fp32 = "single_gpu --steps 100 --model mlp";
  expect_within(1e-4, apart(on_cuda(fp32), on("cpu", fp32), 100), fp32);
}

TEST_F(Cuda, PinnedBatchesAndWorkersChangeNothing) {
  const std::string work = "single_gpu --steps 50 --model mlp --precision fp64";
  EXPECT_EQ(on_cuda(work + " --pin-memory --num-workers 2"), on_cuda(work));
}

TEST_F(Cuda, RanksThatShareADeviceUnderNcclGiveOneCardsLosses) {
  const std::string work = " --precision fp64 --steps 50 --model mlp";
  const auto& one = on_cuda("single_gpu --batch-size 128" + work);
  for (const int ranks : {1, 2, 4}) {
    for (const std::string reducer : {"naive", "flat", "bucketed"}) {
      const std::string command = "ddp --backend nccl --ranks-per-gpu " +
                                  std::to_string(ranks) + " --global-batch-size 128" +
                                  " --reducer " + reducer + work;
      expect_within(1e-10, apart(on_cuda(command), one, 50), command);
    }
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

}  // namespace
}  // namespace lockstep::equality
