// What communication hooks cost in loss, in whole programs; and PowerSGD beside
// PyTorch's own hook.
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

// What the hook's losses are above plain DDP's in the end, of two ranks off the link.
void expect_at_most_above(double bar, const std::string& work,
                          const std::string& hook) {
  const double plain = last(program_losses(work), 50);
  const double lossy = last(program_losses(work + hook), 50);
  std::printf("%+.4f %% of %.4f:%s, %s\n", 100 * (lossy / plain - 1), plain,
              hook.c_str(), work.c_str());
  EXPECT_LE(lossy, (1 + bar) * plain);
  EXPECT_NE(lossy, plain) << "nothing was lost";
}

const std::string kTwoRanks = "ddp --gpus 2 --backend shm --dataset fashion-mnist";

TEST(Loss, OfTheFirstStepsIsPlainDdps) {
  expect_at_most_above(0.02, kTwoRanks + " --model mlp --steps 150", kRank2);
}

TEST(Nightly, LossesOfFp16ArePlainDdpsStepByStep) {
  const std::string work = kTwoRanks + " --model mlp --steps 150";
  const std::vector<double>& rounded = program_losses(work + " --comm-hook fp16");
  expect_within(1e-4, apart(rounded, program_losses(work), 150), "fp16");
}

TEST(Nightly, LossAfterAnEpochIsPlainDdps) {
  for (const std::string model : {"mlp", "mlp-wide"}) {
    const std::string work = kTwoRanks + " --epochs 1 --model " + model;
    expect_at_most_above(0.02, work, kRank2);
    expect_at_most_above(1e-4, work, " --comm-hook fp16");
  }
}

TEST(Nightly, PowerSgdHasPythonsLosses) {
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

}  // namespace
}  // namespace lockstep::equality
