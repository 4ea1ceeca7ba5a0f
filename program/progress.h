// What a program says to people: how far training is, on standard error (a bar that is
// rewritten in place on a terminal, a plain line every ten seconds elsewhere), and at
// its end a few lines out of the report.
#pragma once

#include <chrono>
#include <string>

#include "training/observer.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::program {

class Progress final : public training::StepObserver {
 public:
  Progress();
  ~Progress() override;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void noted(const std::string& text) override;
  void planned(int64_t steps) override { steps_ = steps; }
  void after_step(const training::StepEnd& end) override;

 private:
  bool terminal_;
  int64_t steps_ = 1;
  int64_t samples_ = 0;  // of this rank, so far
  bool line_open_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

// `has_primary`: card 0 is more than the others, as in DataParallel.
std::string summary(const std::string& program, bool has_primary,
                    const training::TrainOptions& options,
                    const training::TrainReport& report);

}  // namespace lockstep::program
