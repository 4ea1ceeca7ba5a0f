// What of a CUDA trace's communication lay under its computation, from the kernels'
// own times on the device; tests/overlap.py asks the same of stages and collectives,
// which are the host's times. For tests alone.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lockstep {

struct KernelOverlap {
  int collectives = 0;     // NCCL's kernels
  int backward = 0;        // kernels that were launched in a stage "backward"
  double nccl_us = 0;      // at least one of NCCL's runs
  double backward_us = 0;  // at least one of backward's runs
  double both_us = 0;      // one of each
};

// Of one process's trace, as Kineto writes it: kernels are events of category "kernel",
// and the call that launched one has its "correlation". Throws std::runtime_error where
// a kernel was launched by no call of the trace.
KernelOverlap kernel_overlap(const nlohmann::json& trace);

}  // namespace lockstep
