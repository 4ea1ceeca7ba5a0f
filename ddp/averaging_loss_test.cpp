// What an epoch of Fashion-MNIST comes to when two ranks meet every 50 steps only,
// against plain DDP: the loss over the last round, in which the ranks' networks differ,
// and the accuracy of the one that they leave.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "tests/ddp_on_threads.h"

namespace lockstep::ddp {
namespace {

constexpr int64_t kRound = 50;

struct End {
  double loss = 0;
  double accuracy = 0;
};

End end_of(const TrainOptions& options) {
  const TrainReport report =
      train_on_threads(2, options, [](int /*rank*/, TrainOptions& /*mine*/) {})[0];
  EXPECT_EQ(report.losses.size(), 469U);
  return {
      std::accumulate(report.losses.end() - kRound, report.losses.end(), 0.0) / kRound,
      report.accuracy().value()};
}

void expect_as_good_as_ddp(const std::string& model, double lr, double momentum) {
  TrainOptions options;
  options.model = model;
  options.lr = lr;
  options.momentum = momentum;
  options.eval = true;
  options.device = "cpu";
  options.threads_per_card = 1;
  const End ddp = end_of(options);
  options.ddp.reducer = "diloco";
  options.ddp.local_sgd = kRound;
  const End diloco = end_of(options);
  std::printf("%s --lr %g --momentum %g: loss %.4f, DDP's %.4f; accuracy %.4f, %.4f\n",
              model.c_str(), lr, momentum, diloco.loss, ddp.loss, diloco.accuracy,
              ddp.accuracy);
  EXPECT_LE(diloco.loss, 1.03 * ddp.loss);
  EXPECT_GE(diloco.accuracy, ddp.accuracy - 0.01);
}

TEST(DilocoLoss, IsAtMostThreePercentAboveDdps) {
  expect_as_good_as_ddp("mlp", 0.1, 0);
  if (std::getenv("LOCKSTEP_ALL_LOSSES") == nullptr) return;
  expect_as_good_as_ddp("mlp", 0.01, 0);
  expect_as_good_as_ddp("mlp", 0.01, 0.9);
  expect_as_good_as_ddp("mlp-wide", 0.1, 0);
}

}  // namespace
}  // namespace lockstep::ddp
