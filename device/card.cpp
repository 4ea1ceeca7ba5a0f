#include "device/card.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "device/cuda.h"
#include "device/cuda_ledger.h"
#include "device/ledger_allocator.h"

namespace lockstep::device {

namespace {

enum class StreamUse : uint8_t { work, copies };

// The same one whenever a device is named: an allocator's cache is one stream's.
c10::Stream own_stream(at::Device device, StreamUse use) {
  static std::mutex mutex;
  static std::map<std::pair<at::DeviceIndex, StreamUse>, c10::Stream> streams;
  const std::lock_guard lock(mutex);
  const auto key = std::make_pair(device.index(), use);
  auto found = streams.find(key);
  if (found == streams.end()) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    found = streams.emplace(key, guard.getStreamFromGlobalPool(device)).first;
  }
  return found->second;
}

// Note [Copies run ahead]
// The host is ahead of a CUDA card: it queues a step's work and goes on to the next
// batch. Were the batch's copy queued behind that work it would wait for it; it has a
// stream of its own, and the work that needs the batch waits for its copy alone. From
// page-locked memory (--pin-memory) the host does not wait either.
at::Tensor copied_ahead(const at::Tensor& tensor, at::Device device) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  const c10::Stream work = guard.getStream(device);
  const c10::Stream copies = own_stream(device, StreamUse::copies);
  at::Tensor copy;
  {
    const c10::StreamGuard on(copies);
    copy = tensor.to(tensor.options().device(device), /*non_blocking=*/true,
                     /*copy=*/true);
  }
  c10::Event copied(device.type());
  copied.record(copies);
  copied.block(work);
  copy.record_stream(work);  // its memory is not free before the work has done with it
  return copy;
}

}  // namespace

at::Tensor Card::put(const at::Tensor& tensor, Category category) const {
  const AccountScope account({index_, category});
  if (!emulated() && tensor.is_cpu()) return copied_ahead(tensor, device_);
  return tensor.to(tensor.options().device(device_), /*non_blocking=*/true,
                   /*copy=*/true);
}

void Card::limit_memory(int64_t bytes) {
  if (emulated()) return limit_card(index_, bytes);
  limit_ = bytes;
}

void Card::reset_peaks() const {
  reset_peak(index_);
  if (emulated()) {
    block_cache_of(index_)->reset_peaks();
  } else {
    reset_cuda_allocator_peaks(device_.index());
  }
}

AllocatorPeaks Card::allocator_peaks() const {
  return emulated() ? block_cache_of(index_)->peaks()
                    : cuda_allocator_peaks(device_.index());
}

std::string Card::name() const {
  return emulated() ? "cpu card " + std::to_string(index_) : device_.str();
}

int threads_of_card(int asked, int cards) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  return asked > 0 ? asked : std::max(1, cores / cards);
}

std::vector<Card> make_cards(const std::string& kind, int count, int threads_per_card,
                             int cards_per_device) {
  if (count < 1 || count > kMaxCards) {
    throw std::invalid_argument("--gpus " + std::to_string(count) +
                                " is not a number of cards; try 1 to " +
                                std::to_string(kMaxCards));
  }
  install_ledger();
  bool cuda = kind == "cuda";
  if (cuda || kind == "auto") {
    const CudaDevices found = cuda_devices();
    cuda = cuda || found.count > 0;
    const int devices = (count + cards_per_device - 1) / cards_per_device;
    if (cuda && found.count < devices) {
      throw std::invalid_argument(
          "--device cuda --gpus " + std::to_string(devices) + ": this machine offers " +
          std::to_string(found.count) + " CUDA devices (" + found.reason +
          "); try --device cpu, which emulates cards");
    }
  }
  if (!cuda && cards_per_device > 1) {
    throw std::invalid_argument("--ranks-per-gpu " + std::to_string(cards_per_device) +
                                ": only CUDA cards can be shared; try --gpus " +
                                std::to_string(count));
  }
  const int threads = threads_of_card(threads_per_card, count);
  std::vector<Card> cards;
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<at::DeviceIndex>(i / cards_per_device);
    cards.emplace_back(cuda ? at::Device(at::kCUDA, index) : at::Device(at::kCPU), i,
                       threads);
  }
  return cards;
}

CardScope::CardScope(const Card& card) : account_({card.index(), Category::other}) {
  // Get, then set: in a new thread LibTorch undoes a set that no get came before.
  if (at::get_num_threads() != card.threads()) at::set_num_threads(card.threads());
  if (!card.emulated()) {
    // Here, not where cards are counted: a launcher counts them and must stay without a
    // context on any.
    watch_cuda_allocations();
    device_.reset_device(card.torch_device());
    if (card.own_stream_) {
      stream_.reset_stream(own_stream(card.torch_device(), StreamUse::work));
    }
    set_card_of_device(card.torch_device().index(), card.index());
    if (card.limit_ > 0) limit_cuda_allocator(card.torch_device().index(), card.limit_);
  }
}

}  // namespace lockstep::device
