// Tags gradients in the ledger. A backward pass allocates gradients and activations
// from the same place, so no scope can tell them apart: each parameter's gradient is
// retagged when autograd hands it over.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace torch::autograd {
struct Node;
}

namespace lockstep::device {

// Retags activations that become gradients of `parameters`, for as long as it lives.
// What already has a category of its own (a bucket) keeps it.
class GradientTags {
 public:
  explicit GradientTags(const std::vector<at::Tensor>& parameters);
  ~GradientTags();
  GradientTags(const GradientTags&) = delete;
  GradientTags& operator=(const GradientTags&) = delete;

 private:
  // Each parameter's AccumulateGrad and our hook on it.
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, uintptr_t>> hooks_;
};

}  // namespace lockstep::device
