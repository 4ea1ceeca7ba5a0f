// Reducers that reduce nothing: gradients stay their rank's, each rank's optimizer
// steps by its own, and it is the parameters that are brought together, every so many
// steps (averaging/). The meter knows when a step ends, so the meetings hang on it.
#include <algorithm>
#include <stdexcept>

#include "averaging/averager.h"
#include "ddp/passes.h"
#include "ddp/reducers.h"

namespace lockstep::ddp {
namespace {

using training::DdpOptions;
using training::Phase;
using training::PhaseScope;

class LocalReducer final : public Reducer {
 public:
  LocalReducer(const NamedParameters& parameters, int64_t passes)
      : parameters_(tensors_of(parameters)), passes_(passes) {}

  void zero_grad() override {
    if (!passes_.fresh()) return;
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  }
  void prepare(const at::Tensor& /*logits*/) override {}
  void finalize() override { passes_.end(passes_.last()); }

 private:
  std::vector<at::Tensor> parameters_;
  Passes passes_;
};

// A meeting belongs to the step that it ends: it comes after the optimizer, and before
// anybody else sees the parameters that the step left.
class Meetings final : public training::StepObserver {
 public:
  Meetings(averaging::AveragerPtr averager, const TrainOptions& options,
           StepMeter& meter)
      : averager_(std::move(averager)),
        every_(options.ddp.local_sgd),
        passes_(options.accumulate),
        meter_(meter) {}

  void planned(int64_t steps) override { planned_ = steps; }

  void after_batch(int64_t step, int64_t batch_of_step) override {
    if (batch_of_step + 1 < passes_) return;
    apart_ = true;
    // Counted from the run's beginning, whatever it was resumed from.
    if ((step + 1) % every_ == 0 || step + 1 == planned_) meet();
  }

  // An observer may have ended the run before the last step planned.
  void trained() override { meet(); }

 private:
  void meet() {
    if (!apart_) return;
    const PhaseScope phase(meter_, Phase::exposed_comm);
    averager_->meet();
    apart_ = false;
  }

  averaging::AveragerPtr averager_;
  int64_t every_;
  int64_t passes_;
  StepMeter& meter_;
  int64_t planned_ = 0;
  bool apart_ = false;  // a step was taken since the last meeting
};

bool steps_outwards(const DdpOptions& ddp) { return ddp.reducer == "diloco"; }

[[noreturn]] void refuse(const std::string& what, const std::string& why) {
  throw std::invalid_argument(what + ": " + why);
}

// The first that is given of what needs a step's gradients to be brought together.
std::string needs_gradients(const TrainOptions& options) {
  const DdpOptions& ddp = options.ddp;
  if (ddp.find_unused_parameters) return "--find-unused-parameters";
  if (ddp.static_graph) return "--static-graph";
  if (!ddp.gradient_as_bucket_view) return "--no-gradient-as-bucket-view";
  if (!ddp.overlap) return "--no-overlap";
  if (ddp.comm_hook != DdpOptions().comm_hook) return "--comm-hook " + ddp.comm_hook;
  if (!ddp.bucket_times_file.empty()) return "--bucket-times";
  // Statistics of a batch that went through as many networks as there are ranks; and
  // ranks without samples would have parameters to average all the same.
  if (ddp.sync_batch_norm) return "--sync-batch-norm";
  if (ddp.join) return "--join";
  return "";
}

// A checkpoint is rank 0's: it must hold what all ranks have, and all that they need.
void check_checkpoint(const TrainOptions& options) {
  const checkpoint::CheckpointOptions& checkpoint = options.checkpoint;
  const std::string with = "not with --reducer " + options.ddp.reducer;
  if (checkpoint.folder.empty()) return;
  const int64_t every = options.ddp.local_sgd;
  if (checkpoint.every % every != 0) {
    refuse("--checkpoint-every " + std::to_string(checkpoint.every),
           "ranks meet every " + std::to_string(every) +
               " steps and differ in between; try " +
               std::to_string(std::max<int64_t>(1, checkpoint.every / every) * every));
  }
  if (options.momentum != 0) {
    refuse("--checkpoint", with +
                               " and --momentum, of which each rank has its own and "
                               "rank 0's is kept; leave one of them out");
  }
  if (steps_outwards(options.ddp) && options.ddp.outer_momentum != 0) {
    refuse("--checkpoint", with +
                               " and its outer momentum, which is not kept; leave "
                               "it out, or try --outer-momentum 0");
  }
}

}  // namespace

bool averages(const DdpOptions& ddp) {
  return ddp.reducer == "local-sgd" || steps_outwards(ddp);
}

ReducerPtr make_local_reducer(const NamedParameters& parameters,
                              comm::ProcessGroup& /*group*/,
                              const TrainOptions& options) {
  return std::make_unique<LocalReducer>(parameters, options.accumulate);
}

std::shared_ptr<training::StepObserver> make_meetings(const NamedParameters& parameters,
                                                      comm::ProcessGroup& group,
                                                      const TrainOptions& options,
                                                      StepMeter& meter) {
  const std::vector<at::Tensor> tensors = tensors_of(parameters);
  return std::make_shared<Meetings>(
      steps_outwards(options.ddp)
          ? averaging::make_diloco(tensors, group,
                                   {options.ddp.outer_lr, options.ddp.outer_momentum})
          : averaging::make_local_sgd(tensors, group),
      options, meter);
}

void check_averaging(const TrainOptions& options) {
  const DdpOptions& ddp = options.ddp;
  const DdpOptions usual;
  if (!steps_outwards(ddp) &&
      (ddp.outer_lr != usual.outer_lr || ddp.outer_momentum != usual.outer_momentum)) {
    refuse("--outer-lr and --outer-momentum",
           "--reducer " + ddp.reducer +
               " takes no outer step; leave them out, or try --reducer diloco");
  }
  const std::string every = "--local-sgd " + std::to_string(ddp.local_sgd);
  if (!averages(ddp)) {
    if (ddp.local_sgd == 0) return;
    refuse(every, "--reducer " + ddp.reducer +
                      " brings the ranks together in every step; leave one of them "
                      "out, or try --reducer diloco");
  }
  const std::string reducer = "--reducer " + ddp.reducer;
  if (ddp.local_sgd == 0) {
    refuse(reducer, "how many steps from one meeting to the next? try --local-sgd 50");
  }
  if (const std::string option = needs_gradients(options); !option.empty()) {
    refuse(option,
           "not with " + reducer +
               ", whose ranks train on their own between meetings; leave it out");
  }
  check_checkpoint(options);
}

}  // namespace lockstep::ddp
