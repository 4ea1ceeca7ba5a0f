// What usual mistakes make of a rank's rows, by which a wrong result is told.
#pragma once

#include <string>
#include <vector>

#include "labs/10_sync_batch_norm/checks.h"

namespace lockstep::labs {

struct Mistake {
  const char* misconception;
  at::Tensor gives;
};

// In y, and in the gradient of x.
std::vector<Mistake> mistakes_of_forward(const OneCard& one, const BatchPlan& plan,
                                         int rank);
std::vector<Mistake> mistakes_of_backward(const OneCard& one, const BatchPlan& plan,
                                          int rank);

// Each rank's rows alone: their mean, and their variance about it.
struct OwnStatistics {
  std::vector<at::Tensor> means, variances;
};
OwnStatistics own_statistics(const OneCard& one, const BatchPlan& plan);

// Refuses what is not one card's: as the mistake that gives it, or as `otherwise`.
void expect(const at::Tensor& found, const at::Tensor& wanted,
            const std::vector<Mistake>& mistakes, const std::string& otherwise,
            const std::string& where, double bar = 1e-10);

}  // namespace lockstep::labs
