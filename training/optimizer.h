// The loop's optimizer: one of LibTorch's, by its name, and beside it what every loop
// needs around a step: gradients zeroed, averaged over accumulated batches, clipped,
// and tagged in the ledger.
#pragma once

#include <torch/optim/sgd.h>

#include <memory>

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

  // LibTorch's, whose state somebody sends to other ranks. Throws std::invalid_argument
  // where it is another one.
  torch::optim::SGD& sgd();

 private:
  void average();
  void clip();

  StepMeter& meter_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  device::GradientTags tags_;
  int64_t accumulate_;
  int64_t accumulated_ = 0;  // local batches whose gradients wait for the step
  Clip clip_;
};

}  // namespace lockstep::training

namespace lockstep {
using training::Optimizer;
}
