// CUDA memory in the ledger: blocks of LibTorch's caching allocator, charged to cards
// as the CPU's are. The allocator's own figures (allocated and reserved, rounded as it
// rounds) stand beside them in a report.
//
// Backward on CUDA runs on autograd's own threads, which stand in no card's scope: what
// they allocate counts to the card that works on that device, as activations where
// nobody named another category.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "device/block_cache.h"
#include "device/memory_ledger.h"

namespace lockstep::device {

// From here on all CUDA allocations of this process are charged. Idempotent,
// thread-safe. Needs a CUDA device.
void watch_cuda_allocations();

// Whose card a device is in this process, for threads that stand in no card's scope.
void set_card_of_device(int device, int card);
// Whether that was said of the card: the host's memory is not its memory, so what a
// thread in its scope allocates on the CPU is the host's.
bool is_cuda_card(int card);

// The block's account becomes `to`, if it was `from` or none is named. Nothing happens
// where no block starts at the address.
void retag_cuda_block(const void* address, std::optional<Category> from, Category to);

// What the allocator tells as it works (cuda_module.h).
void cuda_block_allocated(int device, size_t address, size_t bytes);
void cuda_block_freed(int device, size_t address);

// Of the caching allocator on that device, since the last reset.
AllocatorPeaks cuda_allocator_peaks(int device);
void reset_cuda_allocator_peaks(int device);
// It takes no more from the device in this process.
void limit_cuda_allocator(int device, int64_t bytes);

}  // namespace lockstep::device
