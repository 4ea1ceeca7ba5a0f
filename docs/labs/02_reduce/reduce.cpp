// Lab 2: reduce to the primary card. README.md beside this file says what is asked.
//
// Every replica's backward pass has ended, and each has gradients of its own. Write the
// two ways of adding them up on the primary card, cards[0]; the real DataParallel loop
// trains on them.
#include <ATen/ATen.h>

#include <stdexcept>
#include <vector>

#include "device/card.h"
#include "labs/reduce_to_primary.h"

namespace lockstep::labs {
namespace {

// replicas[r][i] is the i-th parameter as it lies on cards[r]. A gradient is read by
// replicas[r][i].grad() and given by replicas[r][i].mutable_grad() = ...; it may be
// undefined. Afterwards that of replicas[0][i] has grown by the others'.
//
// The primary card fetches one gradient after the other: it is moved there
// (cards[0].put(tensor)), added, and forgotten. The other replicas' gradients stay as
// they are.
void reduce_serial(const std::vector<Tensors>& replicas,
                   const std::vector<Card>& cards) {
  throw std::logic_error("lab 02: reduce_serial is not written yet");
}

// The same sums in log2(N) turns. In turn t = 1, 2, 4, ... card c receives from card
// c + t and adds to its own, for c = 0, 2t, 4t, ..., where there is a card c + t.
//
// Turns on one thread, one after the other: what counts here is who receives from whom.
// The gradients of cards in the middle of the tree may change.
void reduce_tree(const std::vector<Tensors>& replicas, const std::vector<Card>& cards) {
  throw std::logic_error("lab 02: reduce_tree is not written yet");
}

const Registered student(reductions_to_primary(), "student", [] {
  return ReductionsToPrimary{&reduce_serial, &reduce_tree};
});

}  // namespace
}  // namespace lockstep::labs
