// The loop's optimizer: LibTorch's SGD, and beside it what every loop needs around a
// step: gradients zeroed, averaged over accumulated batches, and tagged in the ledger.
#pragma once

#include <torch/optim/sgd.h>

#include "device/gradient_tags.h"
#include "model/networks.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace lockstep::training {

class Optimizer {
 public:
  Optimizer(const Network& model, const TrainOptions& options, StepMeter& meter);

  // Before a forward pass: forgets the gradients, unless they are being accumulated. (A
  // reducer that owns the gradients' memory does this in the optimizer's place.)
  void zero_grad();

  // After a backward pass: one step down the gradients; while accumulating, every K-th
  // time.
  void step();

  // LibTorch's, whose state somebody sends to other ranks.
  torch::optim::SGD& sgd() { return sgd_; }

 private:
  StepMeter& meter_;
  torch::optim::SGD sgd_;
  device::GradientTags tags_;
  int64_t accumulate_;
  int64_t accumulated_ = 0;  // local batches whose gradients wait for the step
};

}  // namespace lockstep::training

namespace lockstep {
using training::Optimizer;
}
