// Lab 2's two functions: the gradients of all replicas are added up on the primary
// card, one card after the other, or in a tree.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "device/card.h"
#include "labs/registered.h"

namespace lockstep::labs {

using Tensors = std::vector<at::Tensor>;

// replicas[r][i] is the i-th parameter as it lies on cards[r]. Afterwards the gradient
// of replicas[0][i] has grown by those of replicas[1 ..][i]. Called on one thread, in
// no card's scope, with autograd off.
using ReduceToPrimary = void(const std::vector<Tensors>& replicas,
                             const std::vector<Card>& cards);

struct ReductionsToPrimary {
  std::function<ReduceToPrimary> serial, tree;
};

Registry<ReductionsToPrimary()>& reductions_to_primary();

// The grader's: from here on DataParallel's loop knows the reductions "student-serial"
// and "student-tree".
void add_student_reductions();

}  // namespace lockstep::labs
