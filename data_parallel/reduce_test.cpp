#include "data_parallel/reduce.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <random>

#include "device/memory_ledger.h"

namespace lockstep::data_parallel {
namespace {

using device::make_cards;

// The gradients of `count` replicas of some parameters; some have none.
struct Gradients {
  Gradients(std::mt19937& random, size_t count) : replicas(count) {
    const size_t parameters = 1 + random() % 5;
    for (size_t i = 0; i < parameters; ++i) {
      std::vector<int64_t> shape;
      while (shape.size() < random() % 5) {
        shape.push_back(static_cast<int64_t>(1 + random() % 6));
      }
      const bool channels_last = shape.size() == 4;
      const auto type = random() % 2 == 0 ? at::kFloat : at::kDouble;
      at::Tensor sum;
      for (Tensors& of_replica : replicas) {
        const at::Tensor parameter = torch::zeros(shape, type).requires_grad_();
        if (random() % 5 != 0) {
          at::Tensor grad = torch::randn(shape, type);
          if (channels_last) grad = grad.contiguous(at::MemoryFormat::ChannelsLast);
          parameter.mutable_grad() = grad;
          sum = sum.defined() ? sum + grad : grad.clone();
        }
        of_replica.push_back(parameter);
      }
      sums.push_back(sum);
    }
  }

  std::vector<Tensors> replicas;
  Tensors sums;  // in the order of the replicas
};

// As DataParallel does it, after each card's backward.
void reduce(const std::string& name, const std::vector<Tensors>& parameters,
            const std::vector<Card>& cards) {
  CardThreads threads(cards);
  Replicated replicated(parameters.size(), cards, threads);
  replicated.parameters = parameters;
  threads.run(parameters.size(), [&](size_t card) {
    const at::NoGradGuard no_grad;
    reductions().at(name)(card, replicated);
  });
}

void check(const std::string& name, double tolerance) {
  std::mt19937 random(7);
  for (int i = 0; i < 100; ++i) {
    const auto cards = make_cards("cpu", static_cast<int>(1 + random() % 8), 1);
    const Gradients gradients(random, cards.size());
    reduce(name, gradients.replicas, cards);
    for (size_t p = 0; p < gradients.sums.size(); ++p) {
      const at::Tensor& found = gradients.replicas[0][p].grad();
      const at::Tensor& wanted = gradients.sums[p];
      ASSERT_EQ(found.defined(), wanted.defined());
      if (!wanted.defined()) continue;
      ASSERT_EQ(found.strides(), wanted.strides()) << "the layout stays";
      const double rounding = wanted.scalar_type() == at::kFloat ? 1e9 : 1;
      ASSERT_LE((found - wanted).abs().max().item<double>(), tolerance * rounding);
    }
  }
}

TEST(ReduceTest, SerialAddsInTheOrderOfReplicas) { check("serial", 0); }

TEST(ReduceTest, TreeHasTheSameSums) { check("tree", 1e-14); }

// What arrives is really copied: N-1 gradients over all, one at a time on a card.
TEST(ReduceTest, WhatArrivesIsPaidFor) {
  const auto cards = make_cards("cpu", 4, 1);
  for (const std::string name : {"serial", "tree"}) {
    std::vector<Tensors> parameters;
    for (const Card& card : cards) {
      const CardScope scope(card);
      const at::Tensor parameter = torch::zeros({1000}).requires_grad_();
      parameter.mutable_grad() = torch::ones({1000});
      parameters.push_back({parameter});
    }
    for (const Card& card : cards) card.reset_peaks();
    reduce(name, parameters, cards);
    EXPECT_TRUE(parameters[0][0].grad().equal(torch::full({1000}, 4.0F)));
    const auto peak = [](int card) { return device::card_bytes(card).peak; };
    EXPECT_EQ(peak(0), 3 * 4000) << name;
    EXPECT_EQ(peak(1), 2 * 4000) << name;
    EXPECT_EQ(peak(2), (name == "tree" ? 3 : 2) * 4000) << name;
  }
}

TEST(ReduceTest, WaysAreResolvedByTheCards) {
  const Card emulated(at::kCPU, 0, 1);
  const Card cuda(at::Device(at::kCUDA, 0), 0, 1);
  EXPECT_EQ(resolve_reduction("auto", emulated), "serial");
  EXPECT_EQ(resolve_reduction("auto", cuda), "nccl");
  EXPECT_EQ(resolve_reduction("tree", cuda), "tree");
  EXPECT_THROW(resolve_reduction("tre", cuda), std::invalid_argument);
  try {
    resolve_reduction("nccl", emulated);
    FAIL() << "NCCL adds on CUDA devices alone";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(
        error.what(),
        "--dp-reduce nccl adds between CUDA cards and cpu card 0 is an emulated "
        "one; try --dp-reduce tree");
  }
}

}  // namespace
}  // namespace lockstep::data_parallel
