#include "device/block_cache.h"

#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "device/memory_ledger.h"

namespace lockstep::device {
namespace {

constexpr size_t kGranule = 64;
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

}  // namespace

size_t rounded_block_bytes(size_t bytes) { return class_of(bytes).bytes; }

void* BlockCache::take_kept(size_t size) {
  void* block = kept_[size];
  if (block != nullptr) kept_[size] = next_of(block);
  return block;
}

void* BlockCache::take(size_t bytes) {
  const SizeClass size = class_of(bytes);
  const auto size_bytes = static_cast<int64_t>(size.bytes);
  const std::lock_guard lock(mutex_);
  void* block = take_kept(size.index);
  if (block == nullptr) {
    try {
      block = c10::alloc_cpu(size.bytes);
    } catch (const std::exception&) {
      release_locked();
      block = c10::alloc_cpu(size.bytes);
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
  if (size.bytes > keep_at_most_ || !caching()) {
    now_.reserved_bytes -= static_cast<int64_t>(size.bytes);
    return c10::free_cpu(block);
  }
  next_of(block) = std::exchange(kept_[size.index], block);
}

void BlockCache::keep_at_most(size_t block_bytes) {
  const std::lock_guard lock(mutex_);
  keep_at_most_ = block_bytes;
}

void BlockCache::release() noexcept {
  const std::lock_guard lock(mutex_);
  release_locked();
}

void BlockCache::release_locked() noexcept {
  for (size_t size = 0; size < kSizes; ++size) {
    while (void* block = take_kept(size)) c10::free_cpu(block);
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

BlockCache& block_cache_of(int card) {
  static auto& caches = *[] {
    auto* all = new std::array<BlockCache, kMaxCards + 1>;
    constexpr size_t kHostKeeps = 32 << 20;  // batches, not data sets
    (*all)[0].keep_at_most(kHostKeeps);
    return all;
  }();
  return caches[static_cast<size_t>(card - kHost)];
}

}  // namespace lockstep::device
