// The two halves of a step over several cards, as the loop calls them, and who does
// them, by name: ours, or LibTorch's own function, which ours is measured against.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "device/card.h"
#include "model/networks.h"
#include "registry/registry.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace lockstep::data_parallel {

using Tensors = std::vector<at::Tensor>;

// A replica's forward pass over its pieces of the inputs; any number of outputs. Runs
// on that card's thread, for several replicas at once.
using Forward =
    std::function<Tensors(torch::nn::Module& replica, const Tensors& inputs)>;

// A network's: one input, one output.
Tensors forward_network(torch::nn::Module& replica, const Tensors& inputs);

class Steps {
 public:
  virtual ~Steps() = default;

  // Inputs on the primary card, all with as many rows -> outputs [all rows, ...], fresh
  // leaves on the output card.
  virtual Tensors forward(const Tensors& inputs) = 0;

  // The outputs' gradients, undefined where the loss did not depend on one; afterwards
  // the module's gradients on the primary card have grown by the sum over cards.
  virtual void backward(const Tensors& output_grads) = 0;
};

using StepsPtr = std::unique_ptr<Steps>;

// "lockstep": DataParallel (data_parallel.h). "libtorch":
// torch::nn::parallel::data_parallel, between CUDA devices.
Registry<StepsPtr(const Network&, Forward, const std::vector<Card>&,
                  const training::DataParallelOptions&, StepMeter&)>&
all_steps();

// Looks at the options of DataParallel before any step. Throws std::invalid_argument
// where the cards cannot follow them.
void check_steps(const TrainOptions& options);

// Those that the options name.
StepsPtr make_steps(const Network& model, Forward forward,
                    const std::vector<Card>& cards,
                    const training::DataParallelOptions& options, StepMeter& meter);

}  // namespace lockstep::data_parallel
