#include "forecast/memory_profile.h"

#include <algorithm>
#include <stdexcept>

#include "forecast/profile.h"

namespace lockstep::forecast {
namespace {

// The last one is recorded, and the first is unlike the others.
constexpr int64_t kSteps = 3;
// Kernels take another way with the smallest batches; so many pairs are tried, each
// twice as large.
constexpr int kPairs = 5;

}  // namespace

// From 4 and 8 samples up; for a sweep of so few from 1 and 2.
predict::StepMemory profile_memory(const Case& one, const Sweep& sweep,
                                   const Children& children) {
  const auto profile = [&](int64_t batch) {
    const Case single{"single", one.model, 1, one.threads_per_card, batch};
    const RunPlan plan{.steps = kSteps, .memory_timeline = true};
    return memory_of(children.run(single, plan), batch);
  };
  const auto& batches = sweep.batch_sizes;
  int64_t batch = *std::min_element(batches.begin(), batches.end()) > 4 ? 4 : 1;
  predict::StepProfile small = profile(batch);
  for (int pair = 0;; ++pair, batch *= 2) {
    predict::StepProfile large = profile(2 * batch);
    try {
      return predict::StepMemory(small, large);
    } catch (const std::invalid_argument& differ) {
      if (pair + 1 == kPairs) throw std::runtime_error(differ.what());
    }
    small = std::move(large);
  }
}

}  // namespace lockstep::forecast
