// A card's freed memory, kept for its next allocation, as CUDA's caching allocator
// keeps it: asking the system each step costs page faults that a training step feels (a
// third of the throughput on `convnet`).
//
// Sizes are rounded up, eight to an octave, and a freed block serves the next of its
// size. Blocks are neither split nor joined: a training loop asks for the same sizes at
// every step. (c10/cuda/CUDACachingAllocator.cpp splits, for memory that cannot grow.)
//
// Not here: who pays for a block (memory_ledger.h) and LibTorch's interface to it
// (ledger_allocator.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace lockstep::device {

// Of a caching allocator: in use, and held from the system, in sizes as it rounds them.
struct AllocatorPeaks {
  int64_t allocated_bytes = 0;
  int64_t reserved_bytes = 0;
};

// Thread-safe: a block may be given back by any thread.
class BlockCache {
 public:
  // At least `bytes`, which are not 0, aligned to 64. Throws std::bad_alloc where the
  // system has no more, with nothing kept that could have served.
  void* take(size_t bytes);

  // A block that was taken with so many bytes. Kept, unless it is larger than the
  // bound.
  void give(void* block, size_t bytes) noexcept;

  // Larger blocks go back to the system at once: the host's data set is read once.
  void keep_at_most(size_t block_bytes);

  // Everything kept goes back to the system.
  void release() noexcept;

  AllocatorPeaks peaks() const;  // since reset_peaks()
  void reset_peaks();

 private:
  // One list a size; the first word of a kept block is the next one's address.
  static constexpr size_t kSizes = 8 + 8 * 55;

  void* take_kept(size_t size);
  void release_locked() noexcept;

  mutable std::mutex mutex_;
  std::array<void*, kSizes> kept_{};
  size_t keep_at_most_ = SIZE_MAX;
  AllocatorPeaks now_;
  AllocatorPeaks peaks_;
};

// The size that a block of so many bytes really has.
size_t rounded_block_bytes(size_t bytes);

// The card's own; kHost has one. Never destroyed: tensors with static lifetime free
// their blocks after main().
BlockCache& block_cache_of(int card);

}  // namespace lockstep::device
