#include "training/evaluate.h"

#include <torch/nn/functional/loss.h>

#include <algorithm>

#include "data/loader.h"
#include "device/ledger_allocator.h"
#include "device/stage.h"
#include "training/step_meter.h"

namespace lockstep::training {

using device::Category;

// Note [What the loss costs]
// What lies between the logits and the loss, and the same backwards, is memory of its
// own kind: as large as the logits and, in DataParallel, on the primary card alone. Its
// backward pass begins with the loss's gradient and ends with the logits', and hooks on
// both tell the calling thread's ledger so.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels) {
  const device::StageScope stage("loss");
  const device::CategoryScope category(Category::outputs);
  device::retag(logits, Category::activations, Category::outputs);
  // The mean over no labels would be NaN: of a rank without samples (--join).
  at::Tensor loss =
      labels.numel() == 0
          ? logits.sum()
          : torch::nn::functional::cross_entropy(
                logits.dim() > 2 ? logits.flatten(0, -2) : logits, labels.flatten());
  if (!loss.requires_grad()) return loss;
  loss.register_hook([](const at::Tensor& gradient) {
    device::set_stage("loss_backward");
    device::set_category(Category::outputs);
    device::retag(gradient, Category::activations, Category::outputs);
  });
  logits.register_hook([](const at::Tensor& /*gradient*/) {
    device::set_stage("backward");
    device::set_category(Category::activations);
  });
  return loss;
}

at::Tensor CrossEntropy::operator()(const at::Tensor& logits,
                                    const at::Tensor& labels) const {
  at::Tensor loss = cross_entropy(logits, labels);
  meter_.enter(Phase::backward);
  return loss;
}

void predict(Network model, const data::Dataset& dataset, const Card& card,
             const World& world, int64_t batch_size,
             const std::function<void(const at::Tensor& logits,
                                      const at::Tensor& labels)>& take) {
  const at::NoGradGuard no_grad;
  const data::SequentialSampler sampler(dataset.test.size(), world.world_size,
                                        world.rank);
  const DataLoader loader(dataset.test, dataset.type, sampler,
                          {.batch_size = batch_size});
  model->eval();
  for (const data::Batch& batch : loader) {
    const at::Tensor labels = card.put(batch.labels);
    take(model->forward(card.put(batch.images)), labels);
  }
  model->train();
}

Accuracy evaluate(Network model, const data::Dataset& dataset, const Card& card,
                  const TrainOptions& options, const World& world) {
  Accuracy accuracy;
  if (!options.eval) return accuracy;
  // A thousand predictions at once.
  const int64_t batch_size = std::max<int64_t>(1, 1000 / dataset.test.labels_each());
  predict(std::move(model), dataset, card, world, batch_size,
          [&](const at::Tensor& logits, const at::Tensor& labels) {
            accuracy.correct += logits.argmax(-1).eq(labels).sum().item<int64_t>();
            accuracy.evaluated += labels.numel();
          });
  return accuracy;
}

}  // namespace lockstep::training
