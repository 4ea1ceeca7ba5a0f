// Validations between the epochs, or the iterations, of training: the test set's
// metrics, over all ranks, told to the hooks. One of the meter's observers. After
// mmengine/runner/loops.py's ValLoop.
#pragma once

#include <vector>

#include "data/dataset.h"
#include "metrics/metrics.h"
#include "model/networks.h"
#include "run_hooks/hook.h"

namespace lockstep::runner {

struct ValidationPlan {
  // Epochs or, where the run goes by iterations, those.
  int64_t begin = 1;
  int64_t interval = 1;
  int64_t batch_size = 64;
  training::TrainOptions options;  // of the data set
  std::vector<metrics::MetricPtr> metrics;
};

class Validation final : public training::StepObserver {
 public:
  Validation(ValidationPlan plan, run_hooks::RunInfo& info);

  void built(const Network& model, torch::optim::Optimizer& optimizer) override;
  void communicates(comm::ProcessGroup& group) override { group_ = &group; }
  void planned(int64_t steps) override { max_steps_ = steps; }
  void rests(int64_t steps, int64_t epochs, bool epoch_ended) override;

 private:
  bool due(int64_t before, int64_t now, int64_t last) const;
  run_hooks::Metrics validate();

  ValidationPlan plan_;
  run_hooks::RunInfo& info_;
  Network model_{nullptr};
  std::optional<data::Dataset> dataset_;
  comm::ProcessGroup* group_ = nullptr;
  int64_t max_steps_ = 0;
};

}  // namespace lockstep::runner
