// Learning rates over time, after mmengine/optim/scheduler/param_scheduler.py: each
// scheduler, at each of its steps from `begin` to before `end`, makes the rate that
// stands into another. Several act on the one rate, in their order, so that a warm-up
// goes over into what follows.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "config/section.h"
#include "registry/registry.h"

namespace lockstep::schedules {

class Scheduler {
 public:
  // Reads begin, end and by_epoch.
  explicit Scheduler(const config::Section& config);
  virtual ~Scheduler() = default;

  bool by_epoch() const { return by_epoch_; }
  // Once, before the first step: the rate that the configuration gives, and where the
  // run ends, in epochs and batches.
  void start(double base, int64_t epochs, int64_t batches);
  // The rate after one more epoch or batch; the first is before training.
  double step(double lr);

  // How often it has stepped, and how often inside its range.
  int64_t steps = -1;
  int64_t own_steps = -1;

 protected:
  // `step` counts from 0 at `begin`.
  virtual double next(int64_t step, double lr) const = 0;
  int64_t length() const { return end_ - begin_; }
  double base() const { return base_; }

 private:
  config::Section config_;
  bool by_epoch_;
  int64_t begin_;
  int64_t end_;
  double base_ = 0;
};

using SchedulerPtr = std::unique_ptr<Scheduler>;

Registry<SchedulerPtr(const config::Section&)>& schedulers();

}  // namespace lockstep::schedules
