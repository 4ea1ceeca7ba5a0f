#include "device/block_cache.h"

#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "device/memory_ledger.h"

namespace lockstep::device {
namespace {

constexpr size_t kGranule = 64;
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kSmall = 8 * kGranule;  // up to here every granule is a size

struct SizeClass {
  size_t bytes;
  size_t index;
};

// (2^k, 2^(k+1)] is cut in eight.
SizeClass class_of(size_t bytes) {
  if (bytes <= kSmall) {
    const size_t granules = (bytes + kGranule - 1) / kGranule;
    return {granules * kGranule, granules - 1};
  }
  const auto octave = static_cast<size_t>(std::bit_width(bytes - 1)) - 1;
  const size_t step = size_t{1} << (octave - 3);
  const size_t steps = (bytes + step - 1) / step;  // 9 to 16
  return {steps * step, 8 + 8 * (octave - 9) + (steps - 9)};
}

void*& next_of(void* block) { return *static_cast<void**>(block); }

// As CUDA's PYTORCH_NO_CUDA_MEMORY_CACHING: a sanitizer sees what is used after it was
// freed only where freed memory is not kept.
bool caching() {
  static const bool on = std::getenv("LOCKSTEP_NO_MEMORY_CACHING") == nullptr;
  return on;
}

// Large blocks in huge pages, where the system gives them: a step that reads all of its
// memory misses a small page's address every 4 KiB (2 % of `mlp-wide`).
class SystemMemory final : public BlockSource {
 public:
  void* take(size_t bytes) override {
    if (bytes < kHugePage) return c10::alloc_cpu(bytes);
    void* block = nullptr;
    if (posix_memalign(&block, kHugePage, bytes) != 0) throw std::bad_alloc();
    // No more than is surely used, for a huge page is there as a whole: sizes are
    // rounded up by a ninth of them at most (class_of).
    madvise(block, bytes / 9 * 8 / kHugePage * kHugePage, MADV_HUGEPAGE);
    return block;
  }
  bool give(void* block) noexcept override {
    c10::free_cpu(block);
    return true;
  }
};

}  // namespace

std::unique_ptr<BlockSource> system_memory() {
  return std::make_unique<SystemMemory>();
}

size_t rounded_block_bytes(size_t bytes) { return class_of(bytes).bytes; }

BlockCache::BlockCache(std::unique_ptr<BlockSource> source, size_t keep_at_most)
    : source_(std::move(source)), keep_at_most_(keep_at_most) {}

BlockCache::~BlockCache() { release(); }

void* BlockCache::take_kept(size_t size) {
  void* block = kept_[size];
  if (block != nullptr) kept_[size] = next_of(block);
  return block;
}

void BlockCache::keep(void* block, size_t size) noexcept {
  next_of(block) = std::exchange(kept_[size], block);
}

void* BlockCache::take(size_t bytes) {
  const SizeClass size = class_of(bytes);
  const auto size_bytes = static_cast<int64_t>(size.bytes);
  const std::lock_guard lock(mutex_);
  void* block = take_kept(size.index);
  if (block == nullptr) {
    try {
      block = source_->take(size.bytes);
    } catch (const std::exception&) {
      release_locked();
      block = source_->take(size.bytes);
    }
    now_.reserved_bytes += size_bytes;
    peaks_.reserved_bytes = std::max(peaks_.reserved_bytes, now_.reserved_bytes);
  }
  now_.allocated_bytes += size_bytes;
  peaks_.allocated_bytes = std::max(peaks_.allocated_bytes, now_.allocated_bytes);
  return block;
}

void BlockCache::give(void* block, size_t bytes) noexcept {
  const SizeClass size = class_of(bytes);
  const std::lock_guard lock(mutex_);
  now_.allocated_bytes -= static_cast<int64_t>(size.bytes);
  const bool wanted = size.bytes <= keep_at_most_ && caching();
  if (!wanted && source_->give(block)) {
    now_.reserved_bytes -= static_cast<int64_t>(size.bytes);
  } else {
    keep(block, size.index);
  }
}

void BlockCache::release() noexcept {
  const std::lock_guard lock(mutex_);
  release_locked();
}

void BlockCache::release_locked() noexcept {
  for (size_t size = 0; size < kSizes; ++size) {
    while (void* block = take_kept(size)) {
      if (!source_->give(block)) return keep(block, size);  // nor any other
    }
  }
  now_.reserved_bytes = now_.allocated_bytes;
}

AllocatorPeaks BlockCache::peaks() const {
  const std::lock_guard lock(mutex_);
  return peaks_;
}

void BlockCache::reset_peaks() {
  const std::lock_guard lock(mutex_);
  peaks_ = now_;
}

namespace {

struct CardCache {
  CardCache() : CardCache(SIZE_MAX) {}
  explicit CardCache(size_t keep_at_most)
      : own(std::make_shared<BlockCache>(system_memory(), keep_at_most)),
        current(own) {}

  const BlockCachePtr own;
  std::mutex mutex;
  BlockCachePtr current;
};

CardCache& card_cache(int card) {
  // Never destroyed: tensors with static lifetime free their blocks after main().
  constexpr size_t kHostKeeps = 32 << 20;  // batches, not data sets
  static auto& host = *new CardCache(kHostKeeps);
  static auto& cards = *new std::array<CardCache, kMaxCards>;
  return card == kHost ? host : cards[static_cast<size_t>(card)];
}

}  // namespace

BlockCachePtr block_cache_of(int card) {
  CardCache& cache = card_cache(card);
  const std::lock_guard lock(cache.mutex);
  return cache.current;
}

void set_block_cache(int card, BlockCachePtr next) {
  CardCache& cache = card_cache(card);
  const std::lock_guard lock(cache.mutex);
  cache.current = next ? std::move(next) : cache.own;
}

}  // namespace lockstep::device
