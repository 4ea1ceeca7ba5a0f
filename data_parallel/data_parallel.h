// DataParallel's two halves, as the loop calls them: forward over all cards up to the
// gathered logits, and, once the loss's backward has stopped there, backward over all
// cards. After torch/nn/parallel/data_parallel.py; there the second half hides inside
// autograd.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "data_parallel/card_threads.h"
#include "data_parallel/replicas.h"
#include "device/card.h"
#include "model/networks.h"
#include "training/step_meter.h"

namespace lockstep::data_parallel {

class DataParallel {
 public:
  // The model is the primary card's replica and stays the caller's.
  DataParallel(const Network& model, const std::vector<Card>& cards, StepMeter& meter);

  // images [n, ...] on the primary card -> logits [n, classes] there, a fresh leaf.
  at::Tensor forward(const at::Tensor& images);

  // logits_grad [n, classes] on the primary card; afterwards the model's gradients
  // there are the sum over cards.
  void backward(const at::Tensor& logits_grad);

 private:
  std::vector<Card> cards_;
  StepMeter& meter_;
  Replicas replicas_;
  CardThreads threads_;
  std::vector<at::Tensor> outputs_;  // of the last forward, each on its card
};

}  // namespace lockstep::data_parallel
