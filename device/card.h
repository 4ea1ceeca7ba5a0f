// A card: one CUDA device, or one emulated card on the CPU.
//
// An emulated card is a share of the machine's cores (`threads`) and a memory ledger of
// its own. In DataParallel each card is a thread, in DDP a process. On the CPU
// LibTorch's `.to(device)` would do nothing and the load of moving batches would be a
// lie, so put() really copies, inside that card's scope.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>

#include <string>
#include <vector>

#include "device/block_cache.h"
#include "device/memory_ledger.h"

namespace lockstep::device {

class Card {
 public:
  Card(at::Device device, int index, int threads)
      : device_(device), index_(index), threads_(threads) {}

  at::Device torch_device() const { return device_; }
  int index() const { return index_; }      // 0 is the primary card
  int threads() const { return threads_; }  // intra-op threads of an emulated card
  bool emulated() const { return device_.is_cpu(); }

  // A copy of `tensor` on this card, its bytes charged to it as `category`. See
  // Note [Copies run ahead].
  at::Tensor put(const at::Tensor& tensor, Category category = Category::input) const;

  // From here on the card holds no more bytes than this; 0: no limit. What goes beyond
  // throws c10::OutOfMemoryError. Of a CUDA card it limits what this process takes,
  // from the next CardScope on.
  void limit_memory(int64_t bytes);

  // Of a CUDA card: from the next CardScope on work goes to a stream of the card's own
  // in place of the default one, which no graph can record.
  void use_own_stream() { own_stream_ = true; }

  // Peak bytes start again from what is live now; the allocator's own since then.
  void reset_peaks() const;
  AllocatorPeaks allocator_peaks() const;

  // The name for messages: "cpu card 1", "cuda:1".
  std::string name() const;

 private:
  friend class CardScope;
  at::Device device_;
  int index_;
  int threads_;
  int64_t limit_ = 0;  // of a CUDA card, as the next
  bool own_stream_ = false;
};

// 0 asked for means cores / cards, at least 1.
int threads_of_card(int asked, int cards);

// The cards of this machine: `count` of them, all alike. `kind` is "cpu", "cuda" or
// "auto" (CUDA where there is one). Throws std::invalid_argument when there are not so
// many. threads_per_card as above. Several cards may share a CUDA device: they are then
// the ranks' shares of it, in order.
std::vector<Card> make_cards(const std::string& kind, int count, int threads_per_card,
                             int cards_per_device = 1);

// The calling thread works for this card until the scope ends: its allocations count to
// the card, and a CUDA card's device is the current one. Its intra-op parallelism
// becomes the card's and stays so. Scopes nest; put one at the top of every thread that
// computes.
class CardScope {
 public:
  explicit CardScope(const Card& card);

 private:
  AccountScope account_;
  c10::OptionalDeviceGuard device_;
  c10::OptionalStreamGuard stream_;
};

}  // namespace lockstep::device

namespace lockstep {
using device::Card;
using device::CardScope;
}  // namespace lockstep
