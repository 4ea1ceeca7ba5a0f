// PowerSGD: instead of a gradient matrix M [n, m] ranks send P [n, r] and Q [m, r], of
// which P Qᵀ is nearly the mean of all M. After Vogels, Karimireddy, Jaggi, "PowerSGD",
// NeurIPS 2019, algorithms 1 and 2, and torch/distributed/algorithms/ddp_comm_hooks/
// powerSGD_hook.py.
//
// Not for what is small already: vectors, and matrices that P and Q would hardly make
// smaller, are sent as they are. And not kept in a checkpoint: a run that is resumed
// begins with nothing unsent, and so with other losses than one that was never stopped.
#pragma once

#include <unordered_map>

#include "hooks/comm_hooks.h"

namespace lockstep::hooks {

class PowerSgd final : public CommHook {
 public:
  explicit PowerSgd(const HookOptions& options);

  std::unique_ptr<Reduction> start(const GradBucket& bucket,
                                   comm::ProcessGroup& group) override;

  // What this rank's gradients held and no P Qᵀ has brought yet; in the order of the
  // gradient's memory. Undefined for a parameter that was never compressed.
  at::Tensor unsent(const at::Tensor& parameter) const;

  // Of a compressed parameter, from step to step.
  struct Memory {
    at::Tensor matrix;  // [n, m] between steps what is unsent, within one M
    at::Tensor q;       // [r, m] Qᵀ of the last step, equal on all ranks
  };

 private:
  class Compressed;

  bool pays(const at::Tensor& matrix) const;  // to send P and Q instead
  // The parameter's, which is a matrix of this shape as it lies in memory.
  Memory& memory_of(const at::Tensor& parameter, const at::Tensor& matrix);

  const HookOptions options_;
  const std::unique_ptr<CommHook> uncompressed_;
  int64_t steps_;
  uint64_t next_seed_;
  std::unordered_map<const c10::TensorImpl*, Memory> memories_;
};

}  // namespace lockstep::hooks
