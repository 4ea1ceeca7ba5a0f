#include "runner/validation.h"

#include <torch/types.h>

#include "training/catalog.h"
#include "training/evaluate.h"

namespace lockstep::runner {

Validation::Validation(ValidationPlan plan, run_hooks::RunInfo& info)
    : plan_(std::move(plan)), info_(info) {}

void Validation::built(const Network& model, torch::optim::Optimizer& /*optimizer*/) {
  model_ = model;
  dataset_.emplace(training::load_dataset(plan_.options));
}

// Of a step that takes several iterations, the one in which it is due.
bool Validation::due(int64_t before, int64_t now, int64_t last) const {
  if (now < plan_.begin) return false;
  return now / plan_.interval > before / plan_.interval || now == last;
}

void Validation::rests(int64_t steps, int64_t epochs, bool epoch_ended) {
  if (epoch_ended != info_.by_epoch) return;
  const int64_t each = info_.options.accumulate;
  const bool now = epoch_ended
                       ? due(epochs - 1, epochs, info_.max_epochs)
                       : due((steps - 1) * each, steps * each, max_steps_ * each);
  if (!now) return;
  const run_hooks::Metrics metrics = validate();
  for (const run_hooks::HookPtr& hook : info_.hooks) hook->validated(metrics);
}

run_hooks::Metrics Validation::validate() {
  const device::CategoryScope category(device::Category::activations);
  // Rank 0's statistics are those of the model that is kept.
  if (group_ != nullptr && info_.options.ddp.broadcast_buffers &&
      !model_->buffers().empty()) {
    group_->broadcast(model_->buffers());
  }
  const Card card = training::make_cards(info_.options, info_.options.local_cards())
                        .at(static_cast<size_t>(info_.world.local_rank));
  training::predict(model_, *dataset_, card, info_.world, plan_.batch_size,
                    [&](const at::Tensor& logits, const at::Tensor& labels) {
                      for (const metrics::MetricPtr& metric : plan_.metrics) {
                        metric->process(logits, labels);
                      }
                    });
  run_hooks::Metrics all;
  for (const metrics::MetricPtr& metric : plan_.metrics) {
    std::vector<double> sums = metric->take_sums();
    if (group_ != nullptr) {
      const at::Tensor together =
          torch::tensor(sums, torch::kDouble).to(card.torch_device());
      group_->all_reduce(together).wait();
      const at::Tensor here = together.cpu();
      sums.assign(here.const_data_ptr<double>(),
                  here.const_data_ptr<double>() + here.numel());
    }
    all.merge(metric->values(sums));
  }
  return all;
}

}  // namespace lockstep::runner
