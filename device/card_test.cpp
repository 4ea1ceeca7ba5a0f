#include "device/card.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>

#include "device/cuda.h"

namespace lockstep::device {
namespace {

std::string refusal(const std::string& kind, int count) {
  try {
    make_cards(kind, count, 1);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CardTest, EmulatedCardsAreAllAlike) {
  const auto cards = make_cards("cpu", 3, 2);
  ASSERT_EQ(cards.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    const Card& card = cards[static_cast<size_t>(i)];
    EXPECT_EQ(card.index(), i);
    EXPECT_EQ(card.threads(), 2);
    EXPECT_TRUE(card.emulated());
    EXPECT_TRUE(card.torch_device().is_cpu());
    EXPECT_EQ(card.name(), "cpu card " + std::to_string(i));
  }
}

TEST(CardTest, CardsShareTheCoresButHaveOneEach) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  EXPECT_EQ(make_cards("cpu", 1, 0).front().threads(), cores);
  EXPECT_EQ(make_cards("cpu", kMaxCards, 0).back().threads(),
            std::max(1, cores / kMaxCards));
  EXPECT_EQ(make_cards("cpu", kMaxCards, 0).size(), 64U);
}

TEST(CardTest, NumbersThatAreNoNumberOfCards) {
  for (const int count : {0, -1, 65, 1000}) {
    EXPECT_EQ(refusal("cpu", count), "--gpus " + std::to_string(count) +
                                         " is not a number of cards; try 1 to 64");
  }
}

// More than any machine has: the same on one with CUDA.
TEST(CardTest, TooFewCudaDevicesAreNamedWithAWayOut) {
  const CudaDevices found = cuda_devices();
  const std::string message = refusal("cuda", 64);
  EXPECT_EQ(message, "--device cuda --gpus 64: this machine offers " +
                         std::to_string(found.count) + " CUDA devices (" +
                         found.reason + "); try --device cpu, which emulates cards");
  EXPECT_FALSE(found.reason.empty());
  EXPECT_EQ(refusal("auto", 1), "accepted");
  EXPECT_EQ(make_cards("auto", 1, 1).front().emulated(), found.count == 0);
}

TEST(CardTest, PutReallyCopiesAndChargesTheCard) {
  const auto cards = make_cards("cpu", 2, 1);
  const at::Tensor batch = at::rand({17, 3});
  const CardScope primary(cards[0]);
  const int64_t before = card_bytes(0).live;
  {
    const at::Tensor there = cards[1].put(batch);
    EXPECT_TRUE(there.equal(batch));
    EXPECT_NE(there.data_ptr(), batch.data_ptr());
    CardBytes bytes = card_bytes(1);
    EXPECT_EQ(bytes.live, 17 * 3 * 4);
    EXPECT_EQ(bytes.live_by_category[static_cast<size_t>(Category::input)], 17 * 3 * 4);
    EXPECT_EQ(card_bytes(0).live, before) << "the thread's own card paid";

    const at::Tensor sum = cards[1].put(there, Category::gathered_outputs);
    EXPECT_NE(sum.data_ptr(), there.data_ptr()) << "on the same card, too";
    bytes = card_bytes(1);
    EXPECT_EQ(bytes.live_by_category[static_cast<size_t>(Category::gathered_outputs)],
              17 * 3 * 4);
  }
  EXPECT_EQ(card_bytes(1).live, 0);
}

TEST(CardTest, PutKeepsTypeAndStrides) {
  const Card card = make_cards("cpu", 1, 1).front();
  const at::Tensor images =
      at::rand({5, 3, 7, 7}, at::kDouble).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor there = card.put(images);
  EXPECT_EQ(there.scalar_type(), at::kDouble);
  EXPECT_EQ(there.strides(), images.strides());
  EXPECT_TRUE(there.equal(images));
}

TEST(CardTest, AScopeSetsTheAccountUntilItEnds) {
  const auto cards = make_cards("cpu", 3, 1);
  {
    const CardScope outer(cards[1]);
    {
      const CardScope inner(cards[2]);
      EXPECT_EQ(current_account().card, 2);
    }
    EXPECT_EQ(current_account().card, 1);
    EXPECT_EQ(current_account().category, Category::other);
    const at::Tensor tensor = at::empty({100});
    EXPECT_EQ(card_bytes(1).live, 400);
  }
  EXPECT_EQ(current_account().card, kHost);
  EXPECT_EQ(card_bytes(1).live, 0);
}

// LibTorch gives a new thread as many threads as there are cores, and undoes a set that
// no get came before: both the first and a later look must show the card's.
TEST(CardTest, AScopeSetsTheThreadsOfANewThread) {
  for (const int threads : {1, 2, 3}) {
    const Card card = make_cards("cpu", 1, threads).front();
    std::thread([&] {
      const CardScope scope(card);
      EXPECT_EQ(at::get_num_threads(), threads);
      at::rand({300, 300}).matmul(at::rand({300, 300}));
      EXPECT_EQ(at::get_num_threads(), threads);
    }).join();
  }
}

}  // namespace
}  // namespace lockstep::device
