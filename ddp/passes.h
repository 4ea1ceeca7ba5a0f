// Counts the backward passes whose gradients are accumulated, on each rank for itself,
// before the ranks' are brought together once. It keeps step with the loop's optimizer,
// which counts the same.
#pragma once

#include <cstdint>

namespace lockstep::ddp {

class Passes {
 public:
  explicit Passes(int64_t per_reduction) : per_reduction_(per_reduction) {}

  // Nothing waits to be reduced: what gradients there are belong to the last step.
  bool fresh() const { return waiting_ == 0; }
  // The pass to come is the one that is reduced.
  bool last() const { return waiting_ + 1 >= per_reduction_; }

  void end(bool reduced) { waiting_ = reduced ? 0 : waiting_ + 1; }

 private:
  int64_t per_reduction_;
  int64_t waiting_ = 0;
};

}  // namespace lockstep::ddp
