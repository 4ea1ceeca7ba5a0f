// What tests of the ledger look at, and what keeps it busy. For the tests of all rooms.
#pragma once

#include <ATen/Functions.h>

#include <cstdint>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "device/ledger_allocator.h"
#include "device/memory_ledger.h"

namespace lockstep::device {

inline int64_t live(int card) { return card_bytes(card).live; }

inline int64_t live(int card, Category category) {
  return card_bytes(card).live_by_category[static_cast<size_t>(category)];
}

inline at::Tensor bytes(int64_t count) { return at::empty({count}, at::kByte); }

// Blocks of any size, card and category, which threads allocate, retag, hand to each
// other and free.
class RandomBlocks {
 public:
  RandomBlocks(int first_card, unsigned cards)
      : first_card_(first_card), cards_(cards) {}

  // So many blocks, on this thread; any number of threads at once.
  void work(unsigned seed, int blocks) {
    std::mt19937 random(seed);
    for (int i = 0; i < blocks; ++i) {
      const AccountScope scope({first_card_ + static_cast<int>(random() % cards_),
                                static_cast<Category>(random() % kCategories)});
      const at::Tensor mine = bytes(1 + random() % 3000);
      retag(mine, static_cast<Category>(random() % kCategories));
      const std::lock_guard lock(mutex_);
      shared_.push_back(mine);
      if (shared_.size() > 20) {
        std::swap(shared_[random() % shared_.size()], shared_.back());
        shared_.pop_back();
      }
    }
  }

  // Bytes that are still there, once nobody works.
  int64_t held() const {
    int64_t held = 0;
    for (const at::Tensor& tensor : shared_) held += tensor.numel();
    return held;
  }

 private:
  int first_card_;
  unsigned cards_;
  std::mutex mutex_;
  std::vector<at::Tensor> shared_;
};

}  // namespace lockstep::device
