// One line on standard error that says how far training is: rewritten in place on a terminal,
// a plain line every few seconds elsewhere.
#pragma once

#include <chrono>

#include "training/observer.h"
#include "training/options.h"

namespace lockstep::training {

class Progress final : public StepObserver {
 public:
  explicit Progress(const TrainOptions& options);
  ~Progress() override;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void after_step(int64_t step, int64_t epoch, double loss, int64_t samples,
                  double step_ms) override;

 private:
  int64_t epochs_;
  int64_t steps_;
  bool terminal_;
  bool line_open_ = false;
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace lockstep::training
