// What a model's outputs are worth: the loss it is trained on, and its accuracy on the
// test set.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "data/dataset.h"
#include "device/card.h"
#include "launch/world.h"
#include "model/networks.h"
#include "training/options.h"

namespace lockstep::training {

class StepMeter;

// Mean cross entropy of logits [..., classes] and labels [...]; of none 0. Logits, loss
// and their gradients count as outputs, gathered logits as what they are.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels);

// The same in a loop.
class CrossEntropy {
 public:
  explicit CrossEntropy(StepMeter& meter) : meter_(meter) {}
  // The forward pass ends with it: from here on the meter counts backward.
  at::Tensor operator()(const at::Tensor& logits, const at::Tensor& labels) const;

 private:
  StepMeter& meter_;
};

struct Accuracy {
  int64_t correct = 0;
  int64_t evaluated = 0;
};

// Hands logits and labels, on the card, of this rank's share of the test set to `take`,
// so many samples at a time; over all ranks each sample once, of none is anything
// padded. Leaves the model in training mode.
void predict(Network model, const data::Dataset& dataset, const Card& card,
             const World& world, int64_t batch_size,
             const std::function<void(const at::Tensor& logits,
                                      const at::Tensor& labels)>& take);

// This rank's share of the test set, unpadded: over all ranks each sample counts once,
// of a sequence each token. Leaves the model in training mode. Nothing is evaluated
// unless options.eval.
Accuracy evaluate(Network model, const data::Dataset& dataset, const Card& card,
                  const TrainOptions& options, const World& world);

}  // namespace lockstep::training
