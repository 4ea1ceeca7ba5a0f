#include "device/ledger_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <cstring>
#include <new>
#include <optional>

#include "device/block_cache.h"
#include "device/cuda_ledger.h"

namespace lockstep::device {
namespace {

// Stands before every block. 64 bytes keep the block as aligned as LibTorch promises.
struct alignas(64) Header {
  int64_t bytes;
  int32_t card;
  // Retagged by the thread that owns the tensor while another may free it later: the
  // tensor's own reference count orders the two.
  Category category;
  BlockCachePtr cache;

  Account account() const { return {card, category}; }
};
static_assert(sizeof(Header) == 64);

Header* header_of(void* block) { return static_cast<Header*>(block) - 1; }

size_t block_bytes(int64_t bytes) {
  return static_cast<size_t>(bytes) + sizeof(Header);
}

void free_block(void* block) {
  if (block == nullptr) return;
  Header* header = header_of(block);
  credit(header->account(), header->bytes);
  const size_t bytes = block_bytes(header->bytes);
  const BlockCachePtr cache = std::move(header->cache);
  header->~Header();
  cache->give(header, bytes);
}

class LedgerAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &free_block, cpu};
    Account account = current_account();
    if (is_cuda_card(account.card)) account = {kHost, Category::other};
    const auto size = static_cast<int64_t>(bytes);
    charge(account, size);
    BlockCachePtr cache = block_cache_of(account.card);
    void* place = nullptr;
    try {
      place = cache->take(block_bytes(size));
    } catch (...) {
      credit(account, size);
      throw;
    }
    void* block =
        new (place) Header{size, account.card, account.category, std::move(cache)} + 1;
    return {block, block, &free_block, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

void retag_if(const at::Tensor& tensor, std::optional<Category> from, Category to) {
  if (!tensor.defined() || !tensor.has_storage()) return;
  if (tensor.is_cuda()) {
    return retag_cuda_block(tensor.storage().data(), from, to);
  }
  const c10::DataPtr& data = tensor.storage().data_ptr();
  if (data.get() == nullptr || data.get_deleter() != &free_block) return;
  Header* header = header_of(data.get_context());
  if (from.has_value() && header->category != *from) return;
  recategorise(header->account(), to, header->bytes);
  header->category = to;
}

}  // namespace

void install_ledger() {
  // Never destroyed: blocks outlive main().
  static const bool installed = [] {
    c10::SetCPUAllocator(new LedgerAllocator, /*priority=*/255);
    return true;
  }();
  (void)installed;
}

void retag(const at::Tensor& tensor, Category to) {
  retag_if(tensor, std::nullopt, to);
}

void retag(const at::Tensor& tensor, Category from, Category to) {
  retag_if(tensor, from, to);
}

std::optional<int> card_of(const at::Tensor& tensor) {
  if (tensor.is_cuda()) return tensor.get_device();
  const c10::DataPtr& data = tensor.storage().data_ptr();
  if (data.get() == nullptr || data.get_deleter() != &free_block) return std::nullopt;
  return header_of(data.get_context())->card;
}

}  // namespace lockstep::device
