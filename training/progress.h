// How far training is, on standard error: a bar that is rewritten in place on a
// terminal, a plain line every ten seconds elsewhere.
#pragma once

#include <chrono>

#include "training/observer.h"

namespace lockstep::training {

class Progress final : public StepObserver {
 public:
  Progress();
  ~Progress() override;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void planned(int64_t steps) override { steps_ = steps; }
  void after_step(int64_t step, int64_t epoch, double loss, int64_t samples,
                  double step_ms) override;

 private:
  bool terminal_;
  int64_t steps_ = 1;
  int64_t samples_ = 0;  // of this rank, so far
  bool line_open_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace lockstep::training
