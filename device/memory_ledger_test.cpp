#include "device/memory_ledger.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <array>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "device/gradient_tags.h"
#include "device/ledger_allocator.h"
#include "tests/ledger_blocks.h"

namespace lockstep::device {
namespace {

int64_t sum(const std::array<int64_t, kCategories>& bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
}

// The ledger is the process's: every test has a card of its own, and leaves it empty.
class MemoryLedgerTest : public testing::Test {
 protected:
  void SetUp() override { install_ledger(); }
  void TearDown() override {
    for (int card = 0; card < kMaxCards; ++card) {
      EXPECT_EQ(live(card), 0) << "card " << card;
      EXPECT_EQ(sum(card_bytes(card).live_by_category), 0) << "card " << card;
    }
  }
};

TEST_F(MemoryLedgerTest, LiveAndPeakCountToTheByte) {
  const AccountScope scope({1, Category::activations});
  reset_peak(1);
  {
    const at::Tensor a = bytes(1000);
    EXPECT_EQ(live(1), 1000);
    { const at::Tensor b = bytes(337); }
    EXPECT_EQ(live(1), 1000);
    EXPECT_EQ(card_bytes(1).peak, 1337);
    const at::Tensor view = a.narrow(0, 10, 20);
    EXPECT_EQ(live(1), 1000) << "a view is nobody's memory";
  }
  EXPECT_EQ(live(1), 0);
  EXPECT_EQ(card_bytes(1).peak, 1337);
  reset_peak(1);
  EXPECT_EQ(card_bytes(1).peak, 0);
}

TEST_F(MemoryLedgerTest, CategoriesAtThePeakAreThoseOfThatMoment) {
  reset_peak(2);
  const AccountScope scope({2, Category::parameters});
  const at::Tensor parameters = bytes(100);
  {
    const CategoryScope inner(Category::activations);
    const at::Tensor activations = bytes(50);
  }
  {
    const CategoryScope inner(Category::gradients);
    const at::Tensor gradients = bytes(30);  // 130 now, below the peak of 150
  }
  const CardBytes card = card_bytes(2);
  EXPECT_EQ(card.peak, 150);
  std::array<int64_t, kCategories> at_peak{};
  at_peak[static_cast<size_t>(Category::parameters)] = 100;
  at_peak[static_cast<size_t>(Category::activations)] = 50;
  EXPECT_EQ(card.at_peak_by_category, at_peak);
  // Its own largest is each category's, peak or not.
  at_peak[static_cast<size_t>(Category::gradients)] = 30;
  EXPECT_EQ(card.highest_by_category, at_peak);
  reset_peak(2);
  EXPECT_EQ(sum(card_bytes(2).highest_by_category), 100) << "the parameters alone";
}

TEST_F(MemoryLedgerTest, RandomAllocationsAgreeWithACountKeptByHand) {
  std::mt19937 random(0);
  std::vector<std::pair<at::Tensor, size_t>> held;
  std::array<int64_t, kCategories> expected{};
  int64_t peak = 0;
  reset_peak(3);
  for (int i = 0; i < 2000; ++i) {
    if (!held.empty() && random() % 3 == 0) {
      std::swap(held[random() % held.size()], held.back());
      expected[held.back().second] -= held.back().first.numel();
      held.pop_back();
    } else {
      const size_t category = random() % kCategories;
      const AccountScope scope({3, static_cast<Category>(category)});
      held.emplace_back(bytes(1 + random() % 5000), category);
      expected[category] += held.back().first.numel();
    }
    peak = std::max(peak, sum(expected));
    const CardBytes card = card_bytes(3);
    ASSERT_EQ(card.live_by_category, expected);
    ASSERT_EQ(card.live, sum(expected));
    ASSERT_EQ(card.peak, peak);
    ASSERT_EQ(sum(card.at_peak_by_category), peak);
  }
}

TEST_F(MemoryLedgerTest, ALimitIsKeptToTheByte) {
  const AccountScope scope({21, Category::parameters});
  limit_card(21, 3 << 20);
  {
    const at::Tensor parameters = bytes(1 << 20);
    const CategoryScope inner(Category::activations);
    const at::Tensor all_the_rest = bytes(2 << 20);
    std::string message = "none";
    try {
      bytes(1);
    } catch (const c10::OutOfMemoryError& error) {
      message = error.what_without_backtrace();
    }
    EXPECT_EQ(message,
              "cpu card 21: out of memory: 1 bytes more do not fit: 3.00 of 3.00 MiB "
              "are in use (activations 2.00, parameters 1.00); try a smaller "
              "--batch-size");
    EXPECT_EQ(live(21), 3 << 20) << "what was refused is not charged";
    EXPECT_EQ(card_bytes(21).peak, 3 << 20);
  }
  EXPECT_THROW(bytes((3 << 20) + 1), c10::OutOfMemoryError);
  { const at::Tensor whole = bytes(3 << 20); }  // the card works on
  limit_card(21, 0);
  const at::Tensor more = bytes(4 << 20);
}

TEST_F(MemoryLedgerTest, ScopesNestAndEnd) {
  EXPECT_EQ(current_account().card, kHost);
  {
    const AccountScope outer({4, Category::input});
    {
      const AccountScope inner({5, Category::buckets});
      const HostScope host;
      EXPECT_EQ(current_account().card, kHost);
    }
    EXPECT_EQ(current_account().card, 4);
    EXPECT_EQ(current_account().category, Category::input);
    set_category(Category::gradients);
    const CategoryScope category(Category::replicas);
    EXPECT_EQ(current_account().card, 4) << "a category scope keeps the card";
  }
  EXPECT_EQ(current_account().card, kHost);
  EXPECT_EQ(current_account().category, Category::other);
}

TEST_F(MemoryLedgerTest, WithoutAScopeTheHostPays) {
  const int64_t before = live(kHost);
  const at::Tensor tensor = bytes(4096);
  EXPECT_EQ(live(kHost), before + 4096);
}

TEST_F(MemoryLedgerTest, ABlockFreedOnAnotherThreadReturnsToItsCard) {
  at::Tensor tensor;
  {
    const AccountScope scope({6, Category::activations});
    tensor = bytes(777);
  }
  std::thread([&] {
    const AccountScope scope({7, Category::input});
    const at::Tensor own = bytes(10);
    EXPECT_EQ(live(6), 777);
    tensor.reset();
    EXPECT_EQ(live(6), 0);
    EXPECT_EQ(live(7), 10);
  }).join();
}

TEST_F(MemoryLedgerTest, RetagMovesBytesAndKeepsThePeak) {
  reset_peak(8);
  const AccountScope scope({8, Category::activations});
  at::Tensor tensor = bytes(64);
  retag(tensor.narrow(0, 3, 5), Category::gradients);  // its whole storage
  EXPECT_EQ(live(8, Category::activations), 0);
  EXPECT_EQ(live(8, Category::gradients), 64);
  EXPECT_EQ(card_bytes(8).peak, 64);

  retag(tensor, /*from=*/Category::activations, /*to=*/Category::other);
  EXPECT_EQ(live(8, Category::gradients), 64) << "it was no activation";
  retag(tensor, /*from=*/Category::gradients, /*to=*/Category::buckets);
  EXPECT_EQ(live(8, Category::buckets), 64);

  // On another thread, under another card's scope: it stays on its card.
  std::thread([&] {
    const AccountScope other({9, Category::input});
    retag(tensor, Category::parameters);
  }).join();
  EXPECT_EQ(live(8, Category::parameters), 64);
  EXPECT_EQ(live(9), 0);
}

TEST_F(MemoryLedgerTest, WhatLibTorchDidNotAllocateIsNotTouched) {
  const AccountScope scope({10, Category::activations});
  std::array<float, 6> numbers = {1, 2, 3, 4, 5, 6};
  const at::Tensor borrowed = at::from_blob(numbers.data(), {6});
  retag(borrowed, Category::gradients);
  EXPECT_EQ(live(10), 0);
  EXPECT_EQ(borrowed.sum().item<float>(), 21);
  retag(at::Tensor(), Category::gradients);    // undefined
  retag(at::empty({0}), Category::gradients);  // no block
  EXPECT_EQ(live(10), 0);
}

TEST_F(MemoryLedgerTest, GradientsAreTaggedWhenAutogradHandsThemOver) {
  const AccountScope scope({11, Category::activations});
  at::Tensor weight = torch::ones({7, 3}, at::requires_grad());
  at::Tensor bucketed = torch::ones({5}, at::requires_grad());
  {
    const CategoryScope buckets(Category::buckets);
    bucketed.mutable_grad() = torch::zeros({5});
  }
  {
    const GradientTags tags({weight, bucketed, torch::ones({2})});
    (weight.sum() * bucketed.pow(2).sum()).backward();
    EXPECT_EQ(live(11, Category::gradients), 7 * 3 * 4);
    EXPECT_EQ(live(11, Category::buckets), 5 * 4) << "keeps its own category";
  }
  weight.mutable_grad().reset();
  weight.sum().backward();
  EXPECT_EQ(live(11, Category::gradients), 0) << "the tags' life has ended";
}

TEST_F(MemoryLedgerTest, ManyThreadsOnManyCardsLoseNothing) {
  RandomBlocks blocks(12, 4);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t)
    threads.emplace_back([&, t] { blocks.work(t, 500); });
  for (std::thread& thread : threads) thread.join();
  int64_t counted = 0;
  for (int card = 12; card < 16; ++card) {
    const CardBytes bytes = card_bytes(card);
    counted += bytes.live;
    EXPECT_EQ(sum(bytes.live_by_category), bytes.live);
    EXPECT_EQ(sum(bytes.at_peak_by_category), bytes.peak);
    EXPECT_GE(bytes.peak, bytes.live);
  }
  EXPECT_EQ(counted, blocks.held());
  EXPECT_GT(counted, 0);
}

TEST_F(MemoryLedgerTest, ThereAre64Cards) {
  std::vector<at::Tensor> held;
  for (int card = 0; card < kMaxCards; ++card) {
    const AccountScope scope({card, Category::input});
    held.push_back(bytes(card + 1));
  }
  for (int card = 0; card < kMaxCards; ++card) EXPECT_EQ(live(card), card + 1);
  EXPECT_THROW(card_bytes(64), std::out_of_range);
  EXPECT_THROW(card_bytes(-2), std::out_of_range);
}

TEST_F(MemoryLedgerTest, TrainingReturnsExactlyToWhereItBegan) {
  const AccountScope scope({20, Category::activations});
  {
    torch::nn::Sequential net(torch::nn::Conv2d(1, 3, 5), torch::nn::BatchNorm2d(3),
                              torch::nn::ReLU(), torch::nn::Flatten(),
                              torch::nn::Linear(3 * 9 * 9, 2));
    for (int i = 0; i < 3; ++i)
      net->forward(torch::rand({5, 1, 13, 13})).sum().backward();
    EXPECT_GT(live(20), 0);
  }
  EXPECT_EQ(live(20), 0);
}

}  // namespace
}  // namespace lockstep::device
