// LibTorch's CPU allocator with the ledger in front of it: every block carries a small
// header that says to which card and category it is charged.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "device/memory_ledger.h"

namespace lockstep::device {

// From here on LibTorch allocates CPU memory through the ledger, out of each card's
// block_cache.h. Idempotent, thread-safe. Blocks allocated before count nowhere, so
// call it before the first tensor.
void install_ledger();

// Moves the tensor's whole storage to another category, on the card it is on. Does
// nothing when the storage was not allocated through the ledger (from_blob, shared
// memory).
void retag(const at::Tensor& tensor, Category to);

// The same, but only for storage that is still of category `from`.
void retag(const at::Tensor& tensor, Category from, Category to);

// The card whose memory it lies in, kHost for the host's; nothing where nobody counted
// it (from_blob, shared memory, what was allocated before).
std::optional<int> card_of(const at::Tensor& tensor);

}  // namespace lockstep::device
