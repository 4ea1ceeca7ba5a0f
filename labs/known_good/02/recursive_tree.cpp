// Lab 2, solved otherwise: the tree by recursion over all cards, replicas or none.
#include <ATen/ATen.h>

#include <vector>

#include "device/card.h"
#include "labs/reduce_to_primary.h"
namespace lockstep::labs {
namespace {

void take(at::Tensor& mine, const at::Tensor& other, const Card& c) {
  if (!other.defined()) return;
  auto here = c.put(other);
  if (mine.defined())
    mine += here;
  else
    mine = here;
}
void reduce_serial(const std::vector<Tensors>& replicas,
                   const std::vector<Card>& cards) {
  for (size_t i = 0; i < replicas[0].size(); ++i)
    for (size_t r = cards.size() - 1; r > 0; --r)
      take(replicas[0][i].mutable_grad(), replicas[r][i].grad(), cards[0]);
}
void tree(const std::vector<Tensors>& replicas, const std::vector<Card>& cards,
          size_t begin, size_t width) {
  if (width == 1 || begin >= cards.size()) return;
  tree(replicas, cards, begin, width / 2);
  tree(replicas, cards, begin + width / 2, width / 2);
  if (begin + width / 2 >= cards.size()) return;
  for (size_t i = 0; i < replicas[0].size(); ++i)
    take(replicas[begin][i].mutable_grad(), replicas[begin + width / 2][i].grad(),
         cards[begin]);
}
void reduce_tree(const std::vector<Tensors>& replicas, const std::vector<Card>& cards) {
  size_t w = 1;
  while (w < cards.size()) w *= 2;
  tree(replicas, cards, 0, w);
}
const Registered student(reductions_to_primary(), "student", [] {
  return ReductionsToPrimary{&reduce_serial, &reduce_tree};
});
}  // namespace
}  // namespace lockstep::labs
