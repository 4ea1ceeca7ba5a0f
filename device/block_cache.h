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
#include <memory>
#include <mutex>

namespace lockstep::device {

// Of a caching allocator: in use, and held from the system, in sizes as it rounds them.
struct AllocatorPeaks {
  int64_t allocated_bytes = 0;
  int64_t reserved_bytes = 0;
};

// Where a cache's memory comes from: the system, or an arena that other processes see.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  // Aligned to 64. Throws std::exception where there is no more.
  virtual void* take(size_t bytes) = 0;
  // False: it takes nothing back.
  virtual bool give(void* block) noexcept = 0;
};

// Thread-safe: a block may be given back by any thread.
class BlockCache {
 public:
  // Larger blocks than the bound go back to their source at once: the host's data set
  // is read once.
  explicit BlockCache(std::unique_ptr<BlockSource> source,
                      size_t keep_at_most = SIZE_MAX);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // At least `bytes`, which are not 0, aligned to 64. Throws where the source has no
  // more, with nothing kept that could have served.
  void* take(size_t bytes);

  // A block that was taken with so many bytes.
  void give(void* block, size_t bytes) noexcept;

  // Everything kept goes back to the source, where it takes it.
  void release() noexcept;

  AllocatorPeaks peaks() const;  // since reset_peaks()
  void reset_peaks();

 private:
  // One list a size; the first word of a kept block is the next one's address.
  static constexpr size_t kSizes = 8 + 8 * 55;

  void* take_kept(size_t size);
  void keep(void* block, size_t size) noexcept;
  void release_locked() noexcept;

  const std::unique_ptr<BlockSource> source_;
  const size_t keep_at_most_;
  mutable std::mutex mutex_;
  std::array<void*, kSizes> kept_{};
  AllocatorPeaks now_;
  AllocatorPeaks peaks_;
};

// The size that a block of so many bytes really has.
size_t rounded_block_bytes(size_t bytes);

// The system's memory, by LibTorch's own calls.
std::unique_ptr<BlockSource> system_memory();

// Out of which the card's next block comes; kHost has one, too. A block keeps its cache
// alive, so that tensors may outlive whoever set it.
using BlockCachePtr = std::shared_ptr<BlockCache>;
BlockCachePtr block_cache_of(int card);
// nullptr: the system's memory again.
void set_block_cache(int card, BlockCachePtr cache);

}  // namespace lockstep::device
