// Lab 10: batch norm of a batch that lies on many ranks, by the student: what each rank
// computes is what one card would for these rows, had it all of them. Plain tensors:
// autograd is off in both functions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "labs/registered.h"

namespace lockstep::labs {

using Tensors = std::vector<at::Tensor>;

// Collective: every rank calls it with a tensor of the same shape and type, which stays
// as it is, and is given the sum over ranks, the same to the bit on all of them.
struct SumOverRanks {
  int rank = 0;
  int world_size = 1;
  std::function<at::Tensor(const at::Tensor& own)> sum;

  at::Tensor operator()(const at::Tensor& own) const { return sum(own); }
};

// One number a channel in each tensor, of x's type; the same on all ranks.
struct BatchNormLayer {
  at::Tensor weight, bias;
  at::Tensor running_mean, running_var;  // changed in place, by forward in training
  double eps = 1e-5;
  double momentum = 0.1;
  bool training = true;
};

struct BatchNormGradients {
  at::Tensor x, weight, bias;
};

struct SyncBatchNorm {
  // x [n, channels, height, width] -> y, of x's shape and type. n is this rank's own.
  // What backward needs goes into `kept`: a rank has several layers, and forward is
  // called for all of them before any backward is.
  std::function<at::Tensor(const at::Tensor& x, const BatchNormLayer& layer,
                           const SumOverRanks& sum_over_ranks, Tensors& kept)>
      forward;
  // After a forward in training, with the gradient of y.
  std::function<BatchNormGradients(const at::Tensor& dy, const BatchNormLayer& layer,
                                   const SumOverRanks& sum_over_ranks,
                                   const Tensors& kept)>
      backward;
};

Registry<SyncBatchNorm()>& sync_batch_norms();

}  // namespace lockstep::labs
