// The bookkeeping, told what the allocator would tell it; no device is needed. With
// one: cuda_test.cpp.
#include "device/cuda_ledger.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

#include "device/ledger_allocator.h"
#include "tests/ledger_blocks.h"

namespace lockstep::device {
namespace {

TEST(CudaLedgerTest, ABlockCountsToTheScopeItWasAllocatedIn) {
  {
    const AccountScope scope({3, Category::input});
    cuda_block_allocated(/*device=*/0, 0x1000, 512);
  }
  EXPECT_EQ(live(3, Category::input), 512);
  std::thread([] { cuda_block_freed(0, 0x1000); }).join();
  EXPECT_EQ(card_bytes(3).live, 0) << "freed on another thread";
  EXPECT_EQ(card_bytes(3).peak, 512);
}

// Autograd's threads stand in no scope.
TEST(CudaLedgerTest, OutsideAnyScopeTheDevicesCardPays) {
  cuda_block_allocated(1, 0x2000, 100);
  set_card_of_device(1, 4);
  cuda_block_allocated(1, 0x3000, 1000);
  EXPECT_EQ(live(4, Category::activations), 1000) << "nobody's device counts nowhere";
  std::thread([] {
    set_category(Category::outputs);
    cuda_block_allocated(1, 0x3800, 10);
  }).join();
  EXPECT_EQ(live(4, Category::outputs), 10) << "the thread had named a category";
  cuda_block_freed(1, 0x2000);
  cuda_block_freed(1, 0x3000);
  cuda_block_freed(1, 0x3000);  // unknown by now
  cuda_block_freed(1, 0x3800);
  EXPECT_EQ(card_bytes(4).live, 0);
}

TEST(CudaLedgerTest, ABlockMayChangeItsCategory) {
  const AccountScope scope({5, Category::activations});
  cuda_block_allocated(0, 0x4000, 64);
  const void* block = reinterpret_cast<const void*>(0x4000);
  retag_cuda_block(block, Category::input, Category::gradients);
  EXPECT_EQ(live(5, Category::activations), 64) << "it was not input";
  retag_cuda_block(block, Category::activations, Category::gradients);
  EXPECT_EQ(live(5, Category::gradients), 64);
  retag_cuda_block(block, std::nullopt, Category::parameters);
  EXPECT_EQ(live(5, Category::parameters), 64);
  retag_cuda_block(reinterpret_cast<const void*>(0x4001), std::nullopt,
                   Category::other);  // no block
  cuda_block_freed(0, 0x4000);
  EXPECT_EQ(card_bytes(5).live, 0);
}

TEST(CudaLedgerTest, TheHostsMemoryIsNotACudaCards) {
  install_ledger();
  const AccountScope scope({7, Category::input});
  const at::Tensor emulated = at::zeros({100});
  EXPECT_EQ(card_bytes(7).live, 400);
  set_card_of_device(6, 7);
  const at::Tensor pageable = at::zeros({100});
  EXPECT_EQ(card_bytes(7).live, 400);
}

TEST(CudaLedgerTest, ThreadsSideBySide) {
  std::vector<std::thread> threads;
  for (int card = 10; card < 14; ++card) {
    threads.emplace_back([card] {
      const AccountScope scope({card, Category::activations});
      std::minstd_rand random(static_cast<unsigned>(card));
      int64_t bytes = 0;
      for (size_t i = 0; i < 2000; ++i) {
        const size_t address = (static_cast<size_t>(card) << 32) + i;
        const size_t size = 1 + random() % 1000;
        cuda_block_allocated(0, address, size);
        if (i % 2 == 0) {
          cuda_block_freed(0, address);
        } else {
          bytes += static_cast<int64_t>(size);
        }
      }
      EXPECT_EQ(card_bytes(card).live, bytes);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace lockstep::device
