// LibTorch's own DataParallel beside ours. It needs two CUDA devices: waived elsewhere.
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <cstdio>
#include <stdexcept>

#include "data_parallel/steps.h"
#include "device/cuda.h"
#include "training/evaluate.h"

namespace lockstep::data_parallel {
namespace {

namespace nn = torch::nn;

constexpr int kDevices = 2;

Network small_network(const Card& card) {
  torch::manual_seed(1);
  Network network(nn::Linear(7, 9), nn::Tanh(), nn::Linear(9, 3));
  network->to(card.torch_device(), at::kDouble);
  return network;
}

std::vector<at::Tensor> gradients_of(const std::string& steps,
                                     const std::vector<Card>& cards) {
  const CardScope scope(cards.front());
  StepMeter meter(TrainOptions(), World(), cards);
  const Network network = small_network(cards.front());
  const auto parallel =
      make_steps(network, &forward_network, cards, {.steps = steps}, meter);
  torch::manual_seed(2);
  const at::Tensor images = torch::randn({11, 7}, at::kDouble);
  const at::Tensor labels = torch::randint(0, 3, {11}, at::kLong);
  const Card& primary = cards.front();
  const auto logits = parallel->forward({primary.put(images)}).front();
  training::cross_entropy(logits, primary.put(labels)).backward();
  parallel->backward({logits.grad()});
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : network->parameters()) {
    gradients.push_back(parameter.grad().cpu());
  }
  return gradients;
}

TEST(LibTorchTest, OursHasItsGradients) {
  if (device::cuda_devices().count < kDevices) {
    std::printf(
        "WAIVED: data_parallel/libtorch_test (LibTorch's data_parallel as a peer): %d "
        "CUDA devices are needed\n",
        kDevices);
    GTEST_SKIP() << "waived";
  }
  const auto cards = device::make_cards("cuda", kDevices, 1);
  const auto ours = gradients_of("lockstep", cards);
  const auto theirs = gradients_of("libtorch", cards);
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_TRUE(ours[i].allclose(theirs[i], 1e-10, 1e-12)) << i;
  }
}

TEST(LibTorchTest, EmulatedCardsAreRefused) {
  try {
    gradients_of("libtorch", device::make_cards("cpu", kDevices, 1));
    FAIL() << "it would not split anything";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "--dp-steps libtorch: torch::nn::parallel::data_parallel knows CUDA "
                 "cards alone; try --device cuda");
  }
}

TEST(LibTorchTest, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  EXPECT_THROW(gradients_of("libtorc", device::make_cards("cpu", 1, 1)),
               std::invalid_argument);
}

}  // namespace
}  // namespace lockstep::data_parallel
