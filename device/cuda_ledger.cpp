#include "device/cuda_ledger.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <array>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include "device/cuda.h"
#include "device/cuda_module.h"

namespace lockstep::device {
namespace {

struct Block {
  Account account;
  int64_t bytes = 0;
};

// CUDA hands out addresses of one space for all devices.
struct Blocks {
  std::array<std::atomic<bool>, kMaxCards> is_cuda_card{};
  std::mutex mutex;
  std::unordered_map<size_t, Block> at;
  std::unordered_map<int, int> card_of_device;
};

Blocks& blocks() {
  static auto* const all = new Blocks;  // blocks are freed after main()'s end, too
  return *all;
}

c10::DeviceAllocator& allocator() {
  return *c10::getDeviceAllocator(c10::DeviceType::CUDA);
}

}  // namespace

void watch_cuda_allocations() {
  static const bool watching = [] {
    auto* watch = cuda_function<decltype(lockstep_cuda_watch)>("lockstep_cuda_watch");
    watch(&cuda_block_allocated, &cuda_block_freed);
    return true;
  }();
  (void)watching;
}

bool is_cuda_card(int card) {
  return card >= 0 && blocks().is_cuda_card.at(static_cast<size_t>(card));
}

void set_card_of_device(int device, int card) {
  blocks().is_cuda_card.at(static_cast<size_t>(card)) = true;
  const std::lock_guard lock(blocks().mutex);
  blocks().card_of_device[device] = card;
}

void cuda_block_allocated(int device, size_t address, size_t bytes) {
  Account account = current_account();
  const std::lock_guard lock(blocks().mutex);
  if (account.card == kHost) {
    const auto card = blocks().card_of_device.find(device);
    if (card == blocks().card_of_device.end()) return;
    // Of a category where a hook named one (training/evaluate.cpp).
    const bool named = account.category != Category::other;
    account = {card->second, named ? account.category : Category::activations};
  }
  const Block block{account, static_cast<int64_t>(bytes)};
  charge(block.account, block.bytes);
  blocks().at[address] = block;
}

void cuda_block_freed(int /*device*/, size_t address) {
  const std::lock_guard lock(blocks().mutex);
  const auto found = blocks().at.find(address);
  if (found == blocks().at.end()) return;
  credit(found->second.account, found->second.bytes);
  blocks().at.erase(found);
}

void retag_cuda_block(const void* address, std::optional<Category> from, Category to) {
  const std::lock_guard lock(blocks().mutex);
  const auto found = blocks().at.find(reinterpret_cast<size_t>(address));
  if (found == blocks().at.end()) return;
  Block& block = found->second;
  if (from.has_value() && block.account.category != *from) return;
  recategorise(block.account, to, block.bytes);
  block.account.category = to;
}

AllocatorPeaks cuda_allocator_peaks(int device) {
  const auto stats = allocator().getDeviceStats(static_cast<c10::DeviceIndex>(device));
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return {stats.allocated_bytes[kAll].peak, stats.reserved_bytes[kAll].peak};
}

void reset_cuda_allocator_peaks(int device) {
  allocator().resetPeakStats(static_cast<c10::DeviceIndex>(device));
}

void limit_cuda_allocator(int device, int64_t bytes) {
  cuda_function<decltype(lockstep_cuda_limit)>("lockstep_cuda_limit")(device, bytes);
}

}  // namespace lockstep::device
