#include "training/evaluate.h"

#include <torch/nn/functional/loss.h>

#include "data/loader.h"
#include "training/step_meter.h"

namespace lockstep::training {

at::Tensor CrossEntropy::operator()(const at::Tensor& logits,
                                    const at::Tensor& labels) const {
  at::Tensor loss = torch::nn::functional::cross_entropy(logits, labels);
  meter_.enter(Phase::backward);
  return loss;
}

Accuracy evaluate(Network model, const data::Dataset& dataset, const Card& card,
                  const TrainOptions& options, const World& world) {
  Accuracy accuracy;
  if (!options.eval) return accuracy;
  const at::NoGradGuard no_grad;
  const data::SequentialSampler sampler(dataset.test.size(), world.world_size,
                                        world.rank);
  const DataLoader loader(dataset.test, dataset.type, sampler, {.batch_size = 1000});
  model->eval();
  for (const data::Batch& batch : loader) {
    const at::Tensor labels = card.put(batch.labels);
    const at::Tensor logits = model->forward(card.put(batch.images));
    accuracy.correct += logits.argmax(1).eq(labels).sum().item<int64_t>();
    accuracy.evaluated += labels.size(0);
  }
  model->train();
  return accuracy;
}

}  // namespace lockstep::training
