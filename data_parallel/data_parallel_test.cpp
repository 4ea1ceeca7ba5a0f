#include "data_parallel/data_parallel.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <random>

#include "device/memory_ledger.h"
#include "tests/ledger_blocks.h"
#include "training/catalog.h"

namespace lockstep::data_parallel {
namespace {

using device::Category;
using device::live;
using device::make_cards;

// One layer frozen, one used twice.
Network odd_model() {
  torch::manual_seed(2);
  const torch::nn::Linear tied(11, 11);
  const torch::nn::Linear frozen(11, 11);
  Network network(torch::nn::Linear(7, 11), torch::nn::Tanh(), tied, torch::nn::Tanh(),
                  frozen, torch::nn::Tanh(), tied, torch::nn::Linear(11, 3));
  frozen->weight.set_requires_grad(false);
  frozen->bias.set_requires_grad(false);
  network->to(at::kDouble);
  return network;
}

struct Halves {
  std::vector<at::Tensor> gradients;
  at::Tensor logits;
};

std::vector<at::Tensor> gradients_of(const Network& model) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : model->parameters()) {
    const at::Tensor& grad = parameter.grad();
    gradients.push_back(grad.defined() ? grad.clone() : at::Tensor());
  }
  return gradients;
}

Halves in_parallel(const Network& model, DataParallel& parallel,
                   const at::Tensor& images, const at::Tensor& labels) {
  for (at::Tensor& parameter : model->parameters()) parameter.mutable_grad().reset();
  const at::Tensor logits = parallel.forward({images}).front();
  EXPECT_TRUE(logits.is_leaf());
  torch::cross_entropy_loss(logits, labels).backward();
  for (const at::Tensor& parameter : model->parameters()) {
    EXPECT_FALSE(parameter.grad().defined()) << "the first half stops at the logits";
  }
  parallel.backward({logits.grad()});
  return {gradients_of(model), logits.detach()};
}

Halves alone(Network model, const at::Tensor& images, const at::Tensor& labels) {
  for (at::Tensor& parameter : model->parameters()) parameter.mutable_grad().reset();
  const at::Tensor logits = model->forward(images);
  torch::cross_entropy_loss(logits, labels).backward();
  return {gradients_of(model), logits.detach()};
}

class DataParallelTest : public testing::TestWithParam<int> {
 protected:
  std::vector<Card> cards_ = make_cards("cpu", GetParam(), 1);
  CardScope scope_{cards_.front()};
  DataParallel over(const Network& model) {
    return {model.ptr(), &forward_network, cards_, {}, meter_};
  }

  StepMeter meter_{TrainOptions(), World(), cards_};
};

TEST_P(DataParallelTest, GradientsAreThoseOfOneCard) {
  Network model = odd_model();
  DataParallel parallel = over(model);
  for (const int64_t batch : {1, 5, 16, 33}) {
    const at::Tensor images = torch::randn({batch, 7}, at::kDouble);
    const at::Tensor labels = torch::randint(0, 3, {batch}, at::kLong);
    const Halves one = alone(model, images, labels);
    const Halves many = in_parallel(model, parallel, images, labels);
    EXPECT_TRUE(many.logits.allclose(one.logits, 1e-10, 0));
    for (size_t i = 0; i < one.gradients.size(); ++i) {
      ASSERT_EQ(many.gradients[i].defined(), one.gradients[i].defined())
          << model->named_parameters()[i].key() << ", batch " << batch;
      if (!one.gradients[i].defined()) continue;
      const auto difference =
          (many.gradients[i] - one.gradients[i]).norm().item<double>();
      EXPECT_LE(difference, 1e-10 * one.gradients[i].norm().item<double>())
          << model->named_parameters()[i].key() << ", batch " << batch;
    }
    // A step, so that the next pass must replicate anew.
    const at::NoGradGuard no_grad;
    for (at::Tensor& parameter : model->parameters()) {
      if (parameter.grad().defined()) parameter.add_(parameter.grad(), -0.1);
    }
  }
}

TEST_P(DataParallelTest, OnlyThePrimaryCardsBuffersSurvive) {
  torch::manual_seed(0);
  Network model(torch::nn::Linear(4, 6), torch::nn::BatchNorm1d(6),
                torch::nn::Linear(6, 3));
  model->to(at::kDouble);
  Network expected(
      std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone()));
  DataParallel parallel = over(model);
  for (int pass = 0; pass < 3; ++pass) {
    const at::Tensor images = torch::randn({40, 4}, at::kDouble);
    in_parallel(model, parallel, images, torch::randint(0, 3, {40}, at::kLong));
    expected->forward(images.chunk(GetParam())[0]);  // the primary card's piece alone
    const auto buffers = model->buffers();
    for (size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_TRUE(buffers[i].equal(expected->buffers()[i])) << i << ", pass " << pass;
    }
  }
}

TEST_P(DataParallelTest, EvaluationModeReachesTheReplicas) {
  torch::manual_seed(0);
  Network model(torch::nn::Linear(4, 6), torch::nn::BatchNorm1d(6));
  DataParallel parallel = over(model);
  model->eval();
  const at::NoGradGuard no_grad;
  const at::Tensor images = torch::randn({9, 4});
  const at::Tensor found = parallel.forward({images}).front();
  EXPECT_FALSE(found.requires_grad()) << "as the caller's grad mode has it";
  EXPECT_TRUE(found.allclose(model->forward(images), 1e-5, 1e-6));
}

TEST_P(DataParallelTest, EveryCardPaysForWhatItHolds) {
  int64_t bytes = 0;
  const int64_t before = device::card_bytes(0).live;
  {
    TrainOptions options;
    options.device = "cpu";
    Network model = training::make_model(options, cards_.front());
    for (const at::Tensor& parameter : model->parameters()) {
      bytes += static_cast<int64_t>(parameter.nbytes());
    }
    DataParallel parallel = over(model);
    in_parallel(model, parallel, torch::randn({64, 1, 28, 28}),
                torch::randint(0, 10, {64}, at::kLong));
    EXPECT_EQ(live(0, Category::replicas), 0) << "the primary's replica is the model";
    // Each tensor begins where vector instructions like it.
    const int64_t flat = (bytes + 63) / 64 * 64;
    EXPECT_LE(live(0, Category::parameters), flat);
    for (int card = 1; card < GetParam(); ++card) {
      EXPECT_EQ(live(card, Category::replicas), flat);
      EXPECT_EQ(device::card_bytes(card).live, flat)
          << "the step left the replica alone";
      EXPECT_GT(device::card_bytes(card).peak, 2 * bytes) << "replica and gradients";
      EXPECT_LT(device::card_bytes(card).peak, device::card_bytes(0).peak);
    }
  }
  for (int card = 1; card < GetParam(); ++card)
    EXPECT_EQ(device::card_bytes(card).live, 0);
  EXPECT_EQ(device::card_bytes(0).live, before);
}

INSTANTIATE_TEST_SUITE_P(Cards, DataParallelTest, testing::Values(1, 2, 3, 8));

}  // namespace
}  // namespace lockstep::data_parallel
