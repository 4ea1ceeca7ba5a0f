// LibTorch's optimizers by name; SGD on CUDA in one kernel. What is not in the options
// (lr, momentum, weight decay) is read from options.optimizer_arguments, under Python's
// names and with its defaults.
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include "training/catalog.h"
#include "training/fused_sgd.h"

namespace lockstep::training {
namespace {

using Parameters = std::vector<at::Tensor>;

// As much as an fp32 parameter can be multiplied by.
constexpr double kMost = 1e38;

LibTorchOptimizer sgd(const Parameters& parameters, const TrainOptions& options) {
  const config::Section& own = options.optimizer_arguments;
  const bool nesterov = own.boolean("nesterov", false);
  const double dampening = own.number("dampening", 0, 0, kMost);
  if (nesterov && (options.momentum == 0 || dampening != 0)) {
    own.fail("nesterov", "needs a momentum, and no dampening");
  }
  const auto asked = torch::optim::SGDOptions(options.lr)
                         .momentum(options.momentum)
                         .dampening(dampening)
                         .weight_decay(options.weight_decay)
                         .nesterov(nesterov);
  if (!parameters.empty() && parameters.front().is_cuda()) {
    return std::make_unique<FusedSgd>(parameters, asked);
  }
  return std::make_unique<torch::optim::SGD>(parameters, asked);
}

// Adam's and AdamW's options have the same names.
template <class Optimizer, class Options>
LibTorchOptimizer adam(const Parameters& parameters, const TrainOptions& options) {
  const config::Section& own = options.optimizer_arguments;
  if (options.momentum != 0) {
    own.fail("momentum", "is SGD's and RMSprop's; Adam has betas = [0.9, 0.999]");
  }
  std::vector<double> betas = own.numbers("betas", 0, 1);
  if (betas.empty()) betas = {0.9, 0.999};
  if (betas.size() != 2 || betas[0] >= 1 || betas[1] >= 1) {
    own.fail("betas", "must be two numbers from 0 to below 1");
  }
  return std::make_unique<Optimizer>(parameters,
                                     Options(options.lr)
                                         .betas({betas[0], betas[1]})
                                         .eps(own.number("eps", 1e-8, 0, kMost))
                                         .weight_decay(options.weight_decay)
                                         .amsgrad(own.boolean("amsgrad", false)));
}

LibTorchOptimizer rmsprop(const Parameters& parameters, const TrainOptions& options) {
  const config::Section& own = options.optimizer_arguments;
  return std::make_unique<torch::optim::RMSprop>(
      parameters, torch::optim::RMSpropOptions(options.lr)
                      .alpha(own.number("alpha", 0.99, 0, 1))
                      .eps(own.number("eps", 1e-8, 0, kMost))
                      .momentum(options.momentum)
                      .weight_decay(options.weight_decay)
                      .centered(own.boolean("centered", false)));
}

}  // namespace

Registry<LibTorchOptimizer(const Parameters&, const TrainOptions&)>& optimizers() {
  static Registry<LibTorchOptimizer(const Parameters&, const TrainOptions&)> known(
      "optimizer", {{"SGD", &sgd},
                    {"Adam", &adam<torch::optim::Adam, torch::optim::AdamOptions>},
                    {"AdamW", &adam<torch::optim::AdamW, torch::optim::AdamWOptions>},
                    {"RMSprop", &rmsprop}});
  return known;
}

}  // namespace lockstep::training
