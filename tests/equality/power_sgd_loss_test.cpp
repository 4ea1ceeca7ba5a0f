// PowerSGD in whole programs: beside PyTorch's own hook, and what it costs in loss.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/equality/run.h"
#include "tests/equality/within.h"

namespace lockstep::equality {
namespace {

// The mean of the last steps: one step's batch says little.
double last(const std::vector<double>& losses, size_t steps) {
  return std::accumulate(losses.end() - static_cast<std::ptrdiff_t>(steps),
                         losses.end(), 0.0) /
         static_cast<double>(steps);
}

const std::string kRank2 = " --comm-hook powersgd --powersgd-rank 2";

TEST(PowerSgd, HasPythonsLosses) {
  const std::string work = " --batch-size 16" + workload("mlp", "fp64", 60);
  const std::vector<double>& ours =
      program_losses("ddp --gpus 2 --backend gloo" + work + kRank2);
  const std::vector<double>& theirs =
      python_losses(2, "2 10" + work, "/tests/equality/power_sgd_peer.py");
  expect_within(1e-9, apart(ours, theirs, 60), "Python's powerSGD_hook");
  const std::vector<double>& plain = program_losses("ddp --gpus 2" + work);
  EXPECT_LE(apart(std::vector<double>(ours.begin(), ours.begin() + 11),
                  std::vector<double>(plain.begin(), plain.begin() + 11), 11),
            1e-12);
  EXPECT_GE(apart(ours, plain, 60), 1e-4) << "nothing was compressed";
}

// Two ranks, off the link.
TEST(PowerSgd, EndsAnEpochAtMostTwoPercentAbovePlainDdp) {
  for (const std::string model : {"mlp", "mlp-wide"}) {
    const std::string work =
        "ddp --gpus 2 --backend shm --dataset fashion-mnist "
        "--epochs 1 --model " +
        model;
    const double plain = last(program_losses(work), 50);
    const double compressed = last(program_losses(work + kRank2), 50);
    std::printf("%s: %.4f plain, %.4f by PowerSGD: %+.2f %%\n", model.c_str(), plain,
                compressed, 100 * (compressed / plain - 1));
    EXPECT_LE(compressed, 1.02 * plain) << model;
    EXPECT_NE(compressed, plain) << model;
  }
}

}  // namespace
}  // namespace lockstep::equality
