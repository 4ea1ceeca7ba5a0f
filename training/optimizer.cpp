#include "training/optimizer.h"

namespace lockstep::training {

Optimizer::Optimizer(const Network& model, const TrainOptions& options,
                     StepMeter& meter)
    : meter_(meter),
      sgd_(model::trained_parameters(model), torch::optim::SGDOptions(options.lr)
                                                 .momentum(options.momentum)
                                                 .weight_decay(options.weight_decay)),
      tags_(model::trained_parameters(model)),
      accumulate_(options.accumulate) {
  for (const auto& observer : options.observers) observer->built(*model, sgd_);
}

void Optimizer::zero_grad() {
  meter_.enter(Phase::optimizer);
  if (accumulated_ == 0) sgd_.zero_grad(/*set_to_none=*/true);
  meter_.enter(Phase::forward);
}

void Optimizer::step() {
  const PhaseScope phase(meter_, Phase::optimizer);
  if (++accumulated_ < accumulate_) return;
  accumulated_ = 0;
  if (accumulate_ > 1) {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& parameter : sgd_.param_groups().front().params()) {
      if (parameter.grad().defined()) {
        parameter.grad().div_(static_cast<double>(accumulate_));
      }
    }
  }
  sgd_.step();
}

}  // namespace lockstep::training
