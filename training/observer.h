// What wants to know how training goes, without a line in any loop: progress,
// a test's own eyes. Called by the meter on the loop's thread.
#pragma once

#include <cstdint>

namespace torch::nn {
class Module;
}

namespace lockstep::training {

class StepObserver {
 public:
  virtual ~StepObserver() = default;

  // Before the first step: how many there will be.
  virtual void planned(int64_t /*steps*/) {}

  // Around every local batch; with accumulation there are several of them a step.
  virtual void before_batch(int64_t /*step*/, int64_t /*batch_of_step*/) {}
  virtual void after_batch(int64_t /*step*/, int64_t /*batch_of_step*/) {}

  // After every optimizer step. `loss` is this rank's mean over its part of the batch;
  // it and `step_ms` are NaN where they are still on their way from the card.
  virtual void after_step(int64_t /*step*/, int64_t /*epoch*/, double /*loss*/,
                          int64_t /*samples*/, double /*step_ms*/) {}

  // Once, with the trained model.
  virtual void finished(const torch::nn::Module& /*model*/) {}
};

}  // namespace lockstep::training
