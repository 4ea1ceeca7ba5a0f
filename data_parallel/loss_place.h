// Where the loss is computed: on the output card from the gathered logits, as the
// tutorials have it, or in the replicas, each from its own logits (--dp-loss replica).
// In the replicas nothing larger than a number is gathered, which is the remedy for a
// primary card that logits sink.
#pragma once

#include <ATen/core/Tensor.h>

#include "data_parallel/steps.h"
#include "device/card.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace lockstep::data_parallel {

// Stands in the loop where one card has its CrossEntropy.
class LossPlace {
 public:
  LossPlace(const TrainOptions& options, const std::vector<Card>& cards,
            StepMeter& meter);

  // What a replica does: a network's forward pass to its logits, or to the sum of its
  // rows' losses.
  Forward forward() const;

  // What is scattered to the replicas: the images, and the labels where they need them.
  Tensors inputs(const at::Tensor& images, const at::Tensor& labels) const;

  // The mean loss over the global batch, from what was gathered: logits [n, ..,
  // classes], or the replicas' sums [cards]. The forward pass ends with it.
  at::Tensor operator()(const at::Tensor& gathered, const at::Tensor& labels) const;

 private:
  bool in_replicas_;
  Card primary_;
  Card output_;
  StepMeter& meter_;
};

}  // namespace lockstep::data_parallel
