// What the bucketed reducer asks of autograd: to be told when a gradient is there, and
// which gradients will not come.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace torch::autograd {
struct Node;
}

namespace lockstep::ddp {

class GradientHooks {
 public:
  // As long as it lives, `came` is called with i whenever a backward pass has brought
  // parameters[i]'s gradient up to date, on the thread of that pass (on the CPU the
  // caller's own). What it throws comes out of backward().
  GradientHooks(const std::vector<at::Tensor>& parameters,
                const std::function<void(size_t)>& came);
  ~GradientHooks();
  GradientHooks(const GradientHooks&) = delete;
  GradientHooks& operator=(const GradientHooks&) = delete;

  // The parameters, in ascending order, that no backward pass from `output` reaches.
  // Walks the whole graph.
  std::vector<size_t> unreachable_from(const at::Tensor& output) const;

 private:
  // Each parameter's AccumulateGrad, kept alive, and our hook on it.
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, uintptr_t>> hooks_;
};

}  // namespace lockstep::ddp
