// Lab 1: scatter and gather. README.md beside this file says what is asked.
//
// The batch lies on the primary card, cards[0]. Write the two functions; the real
// DataParallel loop trains on them.
#include "labs/scatter_gather.h"

#include <ATen/ATen.h>

#include <stdexcept>
#include <vector>

#include "device/card.h"

namespace lockstep::labs {
namespace {

// Cuts `batch` [n, ...], which lies on cards[0], into one piece for each card: piece p
// lies on cards[p]. The pieces are those of Tensor.chunk, so there may be fewer of them
// than cards, and the rows keep their order.
//
// A piece on another card is a copy that the card pays for: card.put(tensor). The
// primary card's own piece lies there already.
Tensors scatter(const at::Tensor& batch, const std::vector<Card>& cards) {
  throw std::logic_error("lab 01: scatter is not written yet");
}

// Joins `pieces`, piece p from the p-th card, as one tensor on the card `to`: all rows
// in the order of the pieces, which may have different numbers of them.
//
// The result is the only thing that is allocated, it lies on `to` whatever card the
// calling thread works for, and it has no autograd history, although the pieces do.
//
// What a thread allocates inside `const CardScope scope(card);` lies on that card.
at::Tensor gather(const Tensors& pieces, const Card& to) {
  throw std::logic_error("lab 01: gather is not written yet");
}

const Registered student(scatter_gathers(), "student", [] {
  return ScatterGather{&scatter, &gather};
});

}  // namespace
}  // namespace lockstep::labs
