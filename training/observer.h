// What wants to know how training goes, without a line in any loop: progress,
// a test's own eyes. Called by the meter on the loop's thread.
#pragma once

#include <cstdint>
#include <string>

namespace torch::nn {
class Module;
class Sequential;
}  // namespace torch::nn
namespace torch::optim {
class Optimizer;
}

namespace lockstep::comm {
class ProcessGroup;
}

namespace lockstep::training {

struct TrainReport;

// An optimizer step that has been taken. What is NaN is still on its way from the card.
struct StepEnd {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0;      // this rank's mean over its part of the batch
  int64_t samples = 0;  // of this rank
  double step_ms = 0;
  double data_ms = 0;  // of these, waiting for batches
};

class StepObserver {
 public:
  virtual ~StepObserver() = default;

  // Where both have their first values, which an observer may replace.
  virtual void built(const torch::nn::Sequential& /*model*/,
                     torch::optim::Optimizer& /*optimizer*/) {}

  // Where there are other ranks: the group by which this one reaches them. It lives
  // until finished() has returned.
  virtual void communicates(comm::ProcessGroup& /*group*/) {}

  // What is no error and whoever runs this should know, in a line. On every rank.
  virtual void noted(const std::string& /*text*/) {}

  // Before the first step: how many there will be.
  virtual void planned(int64_t /*steps*/) {}

  // Where a step has ended and `next` has not begun, and before the first and after the
  // last: no stage's range is open here. What it takes counts to the next step.
  virtual void between_steps(int64_t /*next*/) {}

  // Around every local batch; with accumulation there are several of them a step.
  virtual void before_batch(int64_t /*step*/, int64_t /*batch_of_step*/) {}
  virtual void after_batch(int64_t /*step*/, int64_t /*batch_of_step*/) {}

  // After every optimizer step.
  virtual void after_step(const StepEnd& /*end*/) {}

  // After every optimizer step, and after what is told above: how many have been taken,
  // and how many samples of the epoch, by this rank. A resumed run's count as well.
  virtual void stands(int64_t /*steps*/, int64_t /*epoch*/, int64_t /*samples*/) {}

  // After that, and where an epoch has been taken to its end: where the run may rest.
  // How many steps and whole epochs have been taken. What it takes counts to no step.
  virtual void rests(int64_t /*steps*/, int64_t /*epochs*/, bool /*epoch_ended*/) {}
  // Asked then: whether the run is to end here, before its time; on all ranks alike.
  virtual bool wants_end() { return false; }

  // Where no step is left to take: before the model is evaluated. More than once.
  virtual void trained() {}

  // Once, with the trained model.
  virtual void finished(const torch::nn::Module& /*model*/) {}

  // After that, on every rank: the job's report, to which it may add.
  virtual void reported(TrainReport& /*job*/) {}
};

}  // namespace lockstep::training
