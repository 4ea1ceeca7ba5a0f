#include "training/optimizer.h"

#include <torch/nn/utils/clip_grad.h>

#include <stdexcept>

#include "training/catalog.h"

namespace lockstep::training {

Optimizer::Optimizer(const Network& model, const TrainOptions& options,
                     StepMeter& meter)
    : meter_(meter),
      optimizer_(optimizers().at(options.optimizer)(model::trained_parameters(model),
                                                    options)),
      tags_(model::trained_parameters(model)),
      accumulate_(options.accumulate),
      clip_(options.clip) {
  for (const auto& observer : options.observers) observer->built(model, *optimizer_);
}

void Optimizer::zero_grad() {
  meter_.enter(Phase::optimizer);
  if (accumulated_ == 0) optimizer_->zero_grad(/*set_to_none=*/true);
  meter_.enter(Phase::forward);
}

void Optimizer::average() {
  const at::NoGradGuard no_grad;
  for (const at::Tensor& parameter : optimizer_->param_groups().front().params()) {
    if (parameter.grad().defined()) {
      parameter.grad().div_(static_cast<double>(accumulate_));
    }
  }
}

void Optimizer::clip() {
  const std::vector<at::Tensor>& parameters =
      optimizer_->param_groups().front().params();
  if (clip_.norm > 0) {
    torch::nn::utils::clip_grad_norm_(parameters, clip_.norm, clip_.norm_type);
  }
  if (clip_.value > 0) torch::nn::utils::clip_grad_value_(parameters, clip_.value);
}

void Optimizer::step() {
  const PhaseScope phase(meter_, Phase::optimizer);
  if (++accumulated_ < accumulate_) return;
  accumulated_ = 0;
  if (accumulate_ > 1) average();
  clip();
  optimizer_->step();
}

torch::optim::SGD& Optimizer::sgd() {
  auto* const sgd = dynamic_cast<torch::optim::SGD*>(optimizer_.get());
  if (sgd == nullptr) {
    throw std::invalid_argument("this loop sends SGD's state to other ranks; try SGD");
  }
  return *sgd;
}

}  // namespace lockstep::training
