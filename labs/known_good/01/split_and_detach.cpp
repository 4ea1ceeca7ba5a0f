// Lab 1, solved otherwise: split, and a piece that is detached first.
#include <ATen/ATen.h>

#include <vector>

#include "device/card.h"
#include "labs/scatter_gather.h"
namespace lockstep::labs {
namespace {

Tensors scatter(const at::Tensor& batch, const std::vector<Card>& cards) {
  long n = batch.size(0), N = cards.size();
  auto cut = batch.split((n + N - 1) / N);
  Tensors out;
  int i = 0;
  for (auto& c : cut) {
    if (i == 0) {
      out.push_back(c);
      ++i;
      continue;
    }
    CardScope s(cards[i++]);
    out.push_back(c.clone());
  }
  return out;
}
at::Tensor gather(const Tensors& pieces, const Card& to) {
  const CardScope scope(to);
  return at::cat(pieces).detach();
}
const Registered student(scatter_gathers(), "student", [] {
  return ScatterGather{&scatter, &gather};
});
}  // namespace
}  // namespace lockstep::labs
