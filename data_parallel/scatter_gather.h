// Moving a batch out to the cards and what comes of it back to one of them, each card's
// thread moving its own piece.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data_parallel/card_threads.h"
#include "device/card.h"

namespace lockstep::data_parallel {

using Tensors = std::vector<at::Tensor>;

// How many rows of a tensor each card takes.
using Rows = std::vector<int64_t>;

// How many of `rows` each card takes: as Tensor.chunk cuts them, fewer cards where
// there are too few rows. With `primary_share` below 1 the first card takes that part
// of an equal share (one row at least), and the others share the rest.
Rows shares(int64_t rows, size_t cards, double primary_share);

// The cards of a scatter or a gather.
struct Route {
  const std::vector<Card>& cards;
  CardThreads& threads;
  Card whole;   // where the whole batch lies
  int64_t dim;  // along which it is cut
};

// One card's pieces of each tensor [.., n, ..] on the card `whole`, cut as its
// rows[tensor] say. The card that has the whole gets views, the others copies.
// Undefined tensors stay so. To be called on the card's thread.
Tensors scatter(const Tensors& tensors, const std::vector<Rows>& rows, size_t card,
                const Route& route, device::Category category);

// On all cards at once: the pieces [card][tensor] side by side on the card `whole`,
// without autograd history; numbers [] become [cards]. Throws c10::Error naming the
// replica whose pieces do not fit the first one's.
Tensors gather(const std::vector<Tensors>& pieces, const Route& route);
// Of each gathered tensor, the rows that came from each card.
std::vector<Rows> rows_of(const std::vector<Tensors>& pieces, int64_t dim);

}  // namespace lockstep::data_parallel
