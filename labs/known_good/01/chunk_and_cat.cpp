// Lab 1, solved otherwise: chunk, and cat in the card's scope.
#include <ATen/ATen.h>

#include <vector>

#include "device/card.h"
#include "labs/scatter_gather.h"
namespace lockstep::labs {
namespace {

Tensors scatter(const at::Tensor& batch, const std::vector<Card>& cards) {
  auto pieces = batch.chunk(cards.size());
  for (size_t i = 1; i < pieces.size(); i++) pieces[i] = cards[i].put(pieces[i]);
  return pieces;
}
at::Tensor gather(const Tensors& pieces, const Card& to) {
  CardScope s(to);
  at::NoGradGuard g;
  return at::cat(pieces, 0);
}
const Registered student(scatter_gathers(), "student", [] {
  return ScatterGather{&scatter, &gather};
});
}  // namespace
}  // namespace lockstep::labs
