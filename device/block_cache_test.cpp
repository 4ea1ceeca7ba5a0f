#include "device/block_cache.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "device/card.h"
#include "device/ledger_allocator.h"

namespace lockstep::device {
namespace {

class BlockCacheTest : public testing::Test {
 protected:
  BlockCache cache_{system_memory()};
};

TEST_F(BlockCacheTest, SizesAreRoundedUpByAnEighthAtMost) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const size_t bytes = 1 + random() % (size_t{1} << (6 + random() % 38));
    const size_t rounded = rounded_block_bytes(bytes);
    ASSERT_GE(rounded, bytes);
    ASSERT_EQ(rounded % 64, 0U) << bytes;
    ASSERT_LE(rounded, bytes + std::max<size_t>(63, bytes / 8)) << bytes;
    ASSERT_EQ(rounded_block_bytes(rounded), rounded) << bytes;
  }
}

TEST_F(BlockCacheTest, AFreedBlockServesTheNextOfItsSizeAndNoOther) {
  void* first = cache_.take(1000);
  std::memset(first, 1, 1000);
  cache_.give(first, 1000);
  void* other = cache_.take(2000);
  EXPECT_NE(other, first);
  EXPECT_EQ(cache_.take(1001), first) << "of the same size, rounded";
  void* third = cache_.take(1000);
  EXPECT_NE(third, first) << "it is in use";
  for (auto [block, bytes] :
       {std::pair<void*, size_t>{first, 1001}, {other, 2000}, {third, 1000}}) {
    cache_.give(block, bytes);
  }
}

TEST_F(BlockCacheTest, BlocksInUseNeverOverlap) {
  std::mt19937_64 random(2);
  struct Held {
    unsigned char* block;
    size_t bytes;
    unsigned char mark;
  };
  std::vector<Held> held;
  for (int i = 0; i < 5000; ++i) {
    if (held.size() > 40 || (!held.empty() && random() % 2 == 0)) {
      std::swap(held[random() % held.size()], held.back());
      const Held one = held.back();
      held.pop_back();
      ASSERT_EQ(one.block[0], one.mark);
      ASSERT_EQ(one.block[one.bytes - 1], one.mark);
      cache_.give(one.block, one.bytes);
    } else {
      const size_t bytes = 1 + random() % 5000;
      auto* block = static_cast<unsigned char*>(cache_.take(bytes));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0U);
      held.push_back({block, bytes, static_cast<unsigned char>(i)});
      std::memset(block, held.back().mark, bytes);
    }
  }
  for (const Held& one : held) cache_.give(one.block, one.bytes);
}

TEST_F(BlockCacheTest, AllocatedIsInUseAndReservedIsHeld) {
  void* block = cache_.take(64 * 100);
  const auto size = static_cast<int64_t>(rounded_block_bytes(64 * 100));
  cache_.give(block, 64 * 100);
  EXPECT_EQ(cache_.peaks().allocated_bytes, size);
  EXPECT_EQ(cache_.peaks().reserved_bytes, size);
  cache_.reset_peaks();
  EXPECT_EQ(cache_.peaks().allocated_bytes, 0);
  EXPECT_EQ(cache_.peaks().reserved_bytes, size) << "kept for the next";
  cache_.release();
  cache_.reset_peaks();
  EXPECT_EQ(cache_.peaks().reserved_bytes, 0);
}

TEST_F(BlockCacheTest, LargerBlocksThanTheBoundAreNotKept) {
  BlockCache cache(system_memory(), /*keep_at_most=*/4096);
  cache.give(cache.take(8192), 8192);
  cache.give(cache.take(4096), 4096);
  cache.reset_peaks();
  EXPECT_EQ(cache.peaks().reserved_bytes, 4096);
}

TEST_F(BlockCacheTest, WhereTheSystemHasNoMoreItIsSaid) {
  EXPECT_ANY_THROW(cache_.take(size_t{1} << 60));
  EXPECT_EQ(cache_.peaks().allocated_bytes, 0);
}

TEST_F(BlockCacheTest, ThreadsGiveBackWhatOthersTook) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<void*> shared;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        void* block = cache_.take(300);
        std::memset(block, t, 300);
        const std::lock_guard lock(mutex);
        shared.push_back(block);
        if (shared.size() > 8) {
          cache_.give(shared.front(), 300);
          shared.erase(shared.begin());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<void*>(shared.begin(), shared.end()).size(), shared.size());
  for (void* block : shared) cache_.give(block, 300);
  cache_.reset_peaks();
  EXPECT_EQ(cache_.peaks().allocated_bytes, 0);
}

// Blocks of one page each, cut from a buffer that is told when it goes.
class Pages final : public BlockSource {
 public:
  explicit Pages(bool& gone) : gone_(gone) {}
  ~Pages() override { gone_ = true; }
  void* take(size_t bytes) override {
    if (used_ + bytes > sizeof(pages_)) throw std::bad_alloc();
    return pages_ + std::exchange(used_, used_ + bytes);
  }
  bool give(void*) noexcept override { return false; }
  bool holds(const void* address) const {
    return address >= pages_ && address < pages_ + sizeof(pages_);
  }

 private:
  bool& gone_;
  size_t used_ = 0;
  alignas(64) unsigned char pages_[1 << 16];
};

TEST(CardMemory, ComesFromTheCacheThatWasSetAndOutlivesWhoeverSetIt) {
  bool gone = false;
  auto pages = std::make_unique<Pages>(gone);
  const Pages& source = *pages;
  const Card card = make_cards("cpu", 2, 1).at(1);
  at::Tensor mine;
  {
    const CardScope scope(card);
    set_block_cache(1, std::make_shared<BlockCache>(std::move(pages)));
    mine = at::ones({100});
    EXPECT_TRUE(source.holds(mine.const_data_ptr()));
    set_block_cache(1, nullptr);
    EXPECT_FALSE(source.holds(at::ones({100}).const_data_ptr()));
  }
  EXPECT_FALSE(gone);
  EXPECT_EQ(mine.sum().item<float>(), 100);
  mine.reset();
  EXPECT_TRUE(gone) << "the last block is back";
}

TEST(BlockCache, WhatTheSourceDoesNotTakeBackIsKept) {
  bool gone = false;
  BlockCache cache(std::make_unique<Pages>(gone), /*keep_at_most=*/64);
  void* block = cache.take(5000);
  cache.give(block, 5000);
  cache.release();
  EXPECT_EQ(cache.take(5000), block);
  EXPECT_THROW(cache.take(1 << 20), std::bad_alloc);
  cache.give(block, 5000);
}

// A step of training asks for what the step before gave back.
TEST(CardMemory, StepsReserveNothingNew) {
  const Card card = make_cards("cpu", 1, 1).front();
  const CardScope scope(card);
  const at::Tensor weight = at::rand({300, 200}).requires_grad_();
  const auto step = [&] {
    const at::Tensor input = card.put(at::rand({50, 200}));
    at::linear(input, weight).pow(2).sum().backward();
    weight.mutable_grad().reset();
  };
  step();
  card.reset_peaks();
  const int64_t reserved = card.allocator_peaks().reserved_bytes;
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(card.allocator_peaks().reserved_bytes, reserved);
  EXPECT_GT(card.allocator_peaks().allocated_bytes, 300 * 200 * 4 * 2);
  EXPECT_LE(card.allocator_peaks().allocated_bytes, reserved);
}

}  // namespace
}  // namespace lockstep::device
