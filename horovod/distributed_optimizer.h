// Horovod's calls, as its examples make them: init(), broadcast_parameters(),
// broadcast_optimizer_state() and the DistributedOptimizer (horovod/torch/functions.py
// and optimizer.py).
#pragma once

#include <torch/optim/sgd.h>

#include <memory>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "ddp/gradient_hooks.h"
#include "ddp/passes.h"
#include "device/card.h"
#include "horovod/engine.h"
#include "model/networks.h"
#include "training/optimizer.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace lockstep::horovod {

// Throws std::invalid_argument for options, or variables, that cannot be; before any
// rank starts.
void check_options(const TrainOptions& options);

// Collective: the engine of all ranks of the group, which from here on report together.
// The group outlives it, and is the engine's until shutdown(). Throws
// std::runtime_error where ranks train different models.
std::unique_ptr<Engine> init(const Network& model, comm::ProcessGroup& group,
                             const TrainOptions& options, const Card& card,
                             StepMeter& meter);

// Every rank takes rank 0's parameters and buffers; the optimizer's state (momentum)
// and rates.
void broadcast_parameters(const Network& model, Engine& engine);
void broadcast_optimizer_state(torch::optim::SGD& optimizer, Engine& engine);

// The loop's optimizer, over all ranks. Each gradient is submitted as soon as backward
// has it, while backward goes on; step() waits for all of them. Of batches that are
// accumulated (Horovod's backward_passes_per_step) only the last one's are submitted,
// which are the sums so far. Optimizer divides them by the number of batches; Horovod
// leaves that to the loss.
//
// Note [A gradient that does not come]
// A parameter that a pass did not use is submitted by step(), as zeros: other ranks may
// have used it, and wait.
class DistributedOptimizer {
 public:
  DistributedOptimizer(const Network& model, Engine& engine,
                       const TrainOptions& options, StepMeter& meter);

  void zero_grad();
  void step();

  torch::optim::SGD& sgd() { return optimizer_.sgd(); }

 private:
  // A gradient under way.
  struct Submitted {
    Handle handle;
    at::Tensor compressed;  // what travels, where that is not the gradient itself
  };

  void gradient_came(size_t parameter, bool alone);
  void submit(size_t parameter);
  void synchronize();

  Engine& engine_;
  StepMeter& meter_;
  const ReduceOp op_;
  const bool fp16_;
  std::vector<at::Tensor> parameters_;
  std::vector<std::string> names_;
  ddp::Passes passes_;
  std::vector<Submitted> submitted_;  // a place each parameter
  Optimizer optimizer_;
  // The last to be made, the first to go: it calls gradient_came().
  ddp::GradientHooks hooks_;
};

}  // namespace lockstep::horovod
