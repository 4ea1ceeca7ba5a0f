// Lab 2, solved.
#include <ATen/ATen.h>

#include <vector>

#include "device/card.h"
#include "labs/reduce_to_primary.h"

namespace lockstep::labs {
namespace {

// One replica's gradients are moved to the other's card and added there, one by one.
void add(const Tensors& from, const Tensors& to, const Card& card) {
  for (size_t i = 0; i < to.size(); ++i) {
    const at::Tensor& grad = from[i].grad();
    if (!grad.defined()) continue;
    const at::Tensor arrived = card.put(grad, device::Category::gradients);
    at::Tensor& sum = to[i].mutable_grad();
    if (!sum.defined()) {
      sum = arrived;
    } else {
      sum.add_(arrived);
    }
  }
}

void reduce_serial(const std::vector<Tensors>& replicas,
                   const std::vector<Card>& cards) {
  for (size_t r = 1; r < replicas.size(); ++r) {
    add(replicas[r], replicas[0], cards[0]);
  }
}

void reduce_tree(const std::vector<Tensors>& replicas, const std::vector<Card>& cards) {
  for (size_t turn = 1; turn < replicas.size(); turn *= 2) {
    for (size_t to = 0; to + turn < replicas.size(); to += 2 * turn) {
      add(replicas[to + turn], replicas[to], cards[to]);
    }
  }
}

const Registered student(reductions_to_primary(), "student", [] {
  return ReductionsToPrimary{&reduce_serial, &reduce_tree};
});

}  // namespace
}  // namespace lockstep::labs
