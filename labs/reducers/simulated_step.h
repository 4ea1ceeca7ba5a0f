// Takes a reducer through steps on simulated ranks, and keeps all that a grader asks
// about: every gradient after finalize(), every collective, every time. What labs 04 to
// 06 share.
//
// The loss is linear: the sum over parameters p of <p, x>, with an x of the rank's, the
// pass's and the parameter's own. So p's gradient is x, known beforehand whatever the
// order in which backward comes to the parameters; and that order is the plan's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "labs/student_reducer.h"
#include "simulator/simulation.h"

namespace lockstep::labs {

struct PlannedParameter {
  std::vector<int64_t> sizes;
  at::ScalarType type = at::kDouble;
  bool transposed = false;  // of two dimensions: lies in memory column by column
};
// `count` parameters of odd sizes, drawn from the seed.
std::vector<PlannedParameter> odd_parameters(uint64_t seed, size_t count);

inline constexpr double kForwardSeconds = 1e-3;   // of a pass
inline constexpr double kBackwardSeconds = 1e-3;  // of a parameter
// Links on which what a parameter sends takes about as long as its backward.
predict::Cluster slow_links();

struct StepPlan {
  std::string reducer = "student";
  uint64_t seed = 0;
  int ranks = 2;
  int reductions = 2;
  ReducerOptions options;
  std::vector<PlannedParameter> parameters;
  // Passes are counted through all reductions. Empty: it does.
  std::function<bool(int rank, int64_t pass, size_t parameter)> uses;
  // In which order backward comes to a rank's parameters. Empty: the last one first.
  std::function<std::vector<size_t>(int rank)> backward_order;
};

// Of one rank in one pass; seconds of the virtual clock.
struct SeenPass {
  double begin_s = 0;
  double backward_s = 0, backward_end_s = 0;
  double end_s = 0;  // of finalize()
  // All collectives that the rank launched in it, in order.
  std::vector<simulator::Span> launches;
};

struct SeenRank {
  std::vector<SeenPass> passes;
  // [reduction][parameter]
  std::vector<std::vector<at::Tensor>> gradients;  // after finalize()
  std::vector<std::vector<at::Tensor>> own;        // what its passes alone add up to
  bool moved_parameters = false;
  std::vector<const void*> parameter_memory;
};

struct SeenSteps {
  StepPlan plan;
  std::vector<SeenRank> ranks;
  std::vector<std::vector<at::Tensor>> sum;  // [reduction][parameter], over ranks

  // The last pass of a reduction.
  const SeenPass& reducing(int rank, int reduction) const;
};

// Throws what the reducer throws, and the simulator's Deadlock and Mismatch.
SeenSteps take_steps(const StepPlan& plan);

}  // namespace lockstep::labs
