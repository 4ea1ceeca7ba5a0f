#include <gtest/gtest.h>
#include <torch/types.h>

#include "training/catalog.h"
#include "training/evaluate.h"
#include "training/step_meter.h"

namespace lockstep::training {
namespace {

// The tutorials' network ends in LogSoftmax and its loss is NLLLoss: the same, to the
// bit, in values and gradients.
TEST(CrossEntropyTest, IsLogSoftmaxAndNegativeLogLikelihood) {
  StepMeter meter(TrainOptions(), World(), device::make_cards("cpu", 1, 1));
  const CrossEntropy criterion(meter);
  torch::manual_seed(3);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor logits = torch::randn({37, 10}, type);
    const at::Tensor labels = torch::randint(0, 10, {37}, at::kLong);
    const at::Tensor ours = logits.clone().requires_grad_();
    const at::Tensor theirs = logits.clone().requires_grad_();
    const at::Tensor loss = criterion(ours, labels);
    const at::Tensor wanted =
        torch::nll_loss(torch::log_softmax(theirs, /*dim=*/1), labels);
    EXPECT_TRUE(loss.equal(wanted)) << loss << wanted;
    loss.backward();
    wanted.backward();
    EXPECT_TRUE(ours.grad().equal(theirs.grad()));
  }
}

}  // namespace
}  // namespace lockstep::training
