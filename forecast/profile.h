// What one card does in a step, as a run of single_gpu with --memory-timeline tells it:
// how long its phases take, when each gradient is there, what it allocates. The numbers
// that predict/ asks for.
#pragma once

#include <cstdint>
#include <vector>

#include "predict/step_memory.h"
#include "predict/step_time.h"
#include "training/report.h"

namespace lockstep::forecast {

// Medians over the steps after the first `warmup`, without the last, which was recorded
// and is slower for it: of that one only the gradients' order and shares of the
// backward pass are used.
predict::CardStep step_of(const TrainReport& report, int64_t warmup);

// Of cards that work at once, as if they waited for each other after every step: each
// step is that of whichever took longest over it. What is recorded is the first one's.
TrainReport in_lockstep(const std::vector<TrainReport>& cards);

// The recorded step.
predict::StepProfile memory_of(const TrainReport& report, int64_t batch);

// A step at any batch, from two runs: every sample takes as long as another, beside
// what a step takes without any.
class StepAtBatch {
 public:
  StepAtBatch(int64_t batch, predict::CardStep step, int64_t other_batch,
              const predict::CardStep& other);

  predict::CardStep at(int64_t batch) const;

 private:
  int64_t batch_;
  predict::CardStep step_;
  predict::CardStep per_sample_;  // no gradients
};

}  // namespace lockstep::forecast
