// Lab 1's two functions: how a batch goes out to the cards, and how what comes of it is
// joined on one of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "device/card.h"
#include "labs/registered.h"

namespace lockstep::labs {

using Tensors = std::vector<at::Tensor>;

struct ScatterGather {
  // `batch` [n, ...] on cards[0] -> piece p on cards[p].
  std::function<Tensors(const at::Tensor& batch, const std::vector<Card>& cards)>
      scatter;
  // Pieces that differ in their rows alone -> all rows, on `to`.
  std::function<at::Tensor(const Tensors& pieces, const Card& to)> gather;
};

Registry<ScatterGather()>& scatter_gathers();

// The grader's: from here on DataParallel's loop knows the steps "student", made of the
// student's scatter and gather and of our replicas and reduction.
void add_student_steps();

}  // namespace lockstep::labs
