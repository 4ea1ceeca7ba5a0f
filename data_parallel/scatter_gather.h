// Moving a batch out to the cards and what comes of it back to the primary card.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "device/card.h"

namespace lockstep::data_parallel {

// `tensor` [n, ...] on the primary card, cut along its first dimension as Tensor.chunk
// cuts it: one piece a card, fewer where there are too few rows. The primary card's
// piece is a view, the others are copies on their cards.
std::vector<at::Tensor> scatter(const at::Tensor& tensor,
                                const std::vector<Card>& cards,
                                device::Category category);

// The pieces side by side on the primary card: [sum of n, ...], without autograd
// history.
at::Tensor gather(const std::vector<at::Tensor>& pieces, const Card& primary);

}  // namespace lockstep::data_parallel
