// What sums say that are not whole, where rank r brought the number 64^r: which ranks
// are in them, and what that mostly comes from.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "grading/check.h"

namespace lockstep::labs {

// How often a rank is in a sum.
int times(double sum, int rank);

// "ranks 0, 0, 2"
std::string list(const std::vector<int>& ranks);

// Of each rank's sums; `otherwise` where they are of no known mistake.
grading::Misconception diagnosis(const std::vector<at::Tensor>& results,
                                 const grading::Misconception& otherwise);

}  // namespace lockstep::labs
