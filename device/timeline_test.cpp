#include "device/timeline.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "device/cuda_ledger.h"
#include "device/ledger_allocator.h"
#include "device/stage.h"
#include "tests/ledger_blocks.h"

namespace lockstep::device {
namespace {

using Categories = std::array<int64_t, kCategories>;

Categories sums_of(const CardEvents& card) {
  Categories sums{};
  for (const MemoryEvent& event : card.events) {
    sums[static_cast<size_t>(event.category)] += event.bytes;
  }
  return sums;
}

class TimelineTest : public testing::Test {
 protected:
  void SetUp() override { install_ledger(); }
};

TEST_F(TimelineTest, EveryChangeHasItsCategoryStageAndBytes) {
  const AccountScope scope({1, Category::parameters});
  const at::Tensor parameters = bytes(100);
  TimelineRecording recording({1});
  {
    const StageScope stage("forward");
    const CategoryScope category(Category::activations);
    at::Tensor gradient = bytes(50);
    {
      const StageScope inner("backward");
      retag(gradient, Category::gradients);
    }
    gradient.reset();
  }
  const at::Tensor last = bytes(7);
  const auto cards = recording.take();
  ASSERT_EQ(cards.size(), 1U);
  EXPECT_EQ(cards[0].card, 1);
  const std::vector<MemoryEvent> expected = {
      {0, Category::parameters, 100, "before"},
      {0, Category::parameters, 0, "forward"},
      {0, Category::activations, 50, "forward"},
      {0, Category::activations, 0, "backward"},
      {0, Category::activations, -50, "backward"},
      {0, Category::gradients, 50, "backward"},
      {0, Category::gradients, -50, "forward"},
      {0, Category::parameters, 7, "none"},
  };
  ASSERT_EQ(cards[0].events.size(), expected.size());
  double ms = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const MemoryEvent& event = cards[0].events[i];
    EXPECT_EQ(event.category, expected[i].category) << i;
    EXPECT_EQ(event.bytes, expected[i].bytes) << i;
    EXPECT_STREQ(event.stage, expected[i].stage) << i;
    EXPECT_GE(event.ms, ms) << i;
    ms = event.ms;
  }
}

TEST_F(TimelineTest, NothingIsRecordedAfterItsEndOrOfOtherCards) {
  TimelineRecording recording({3, 2});
  const AccountScope scope({4, Category::input});
  const at::Tensor elsewhere = bytes(10);
  const HostScope host;
  const at::Tensor hosts = bytes(10);
  const auto cards = recording.take();
  const AccountScope late({2, Category::input});
  const at::Tensor after = bytes(10);
  ASSERT_EQ(cards.size(), 2U);
  EXPECT_EQ(cards[0].card, 3);
  EXPECT_EQ(cards[1].card, 2);
  EXPECT_TRUE(cards[0].events.empty() && cards[1].events.empty());
  EXPECT_TRUE(recording.take().empty());
}

TEST_F(TimelineTest, ACardIsRecordedOnceAtATime) {
  {
    const TimelineRecording recording({5});
    EXPECT_THROW(TimelineRecording({6, 5}), std::logic_error);
    const TimelineRecording other({6});  // the refused one let it go
  }
  const TimelineRecording again({5, 6});
}

TEST_F(TimelineTest, CudasBlocksAreRecordedAsTheLedgerCountsThem) {
  const AccountScope scope({7, Category::input});
  TimelineRecording recording({7});
  cuda_block_allocated(/*device=*/0, 0x1000, 512);
  retag_cuda_block(reinterpret_cast<const void*>(0x1000), std::nullopt,
                   Category::buckets);
  cuda_block_freed(0, 0x1000);
  const auto cards = recording.take();
  std::vector<int64_t> changes;
  for (const MemoryEvent& event : cards[0].events) changes.push_back(event.bytes);
  EXPECT_EQ(changes, (std::vector<int64_t>{512, -512, 512, -512}));
}

// Recordings begin and end while threads allocate, retag and free each other's blocks:
// what one recorded is always the ledger's own account, its peak included.
TEST_F(TimelineTest, ManyThreadsSumsAreTheLedgersBytes) {
  constexpr int kFirst = 12;
  const std::vector<int> cards = {kFirst, kFirst + 1, kFirst + 2};
  RandomBlocks blocks(kFirst, 3);
  const auto work = [&](unsigned seed) {
    const StageScope stage("forward");
    blocks.work(seed, 400);
  };
  work(99);  // something is live before
  for (const int card : cards) reset_peak(card);
  TimelineRecording whole(cards);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) threads.emplace_back(work, t);
  for (std::thread& thread : threads) thread.join();
  const auto recorded = whole.take();
  for (const CardEvents& card : recorded) {
    const CardBytes ledger = card_bytes(card.card);
    EXPECT_EQ(sums_of(card), ledger.live_by_category);
    int64_t live = 0;
    int64_t peak = 0;
    double ms = 0;
    for (const MemoryEvent& event : card.events) {
      live += event.bytes;
      peak = std::max(peak, live);
      EXPECT_GE(event.ms, ms);
      ms = event.ms;
    }
    EXPECT_EQ(live, ledger.live);
    EXPECT_EQ(peak, ledger.peak);
  }
}

TEST_F(TimelineTest, RecordingsMayComeAndGoWhileThreadsAllocate) {
  std::atomic<bool> going{true};
  std::atomic<bool> started{false};
  std::thread other([&] {
    const AccountScope scope({20, Category::activations});
    for (; going; started = true) bytes(100);
  });
  while (!started) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) {
    TimelineRecording recording({20});
    std::this_thread::yield();
    const int64_t live = sums_of(recording.take()[0])[size_t(Category::activations)];
    EXPECT_TRUE(live == 0 || live == 100) << live;
  }
  going = false;
  other.join();
}

}  // namespace
}  // namespace lockstep::device
