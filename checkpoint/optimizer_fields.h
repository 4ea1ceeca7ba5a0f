// What LibTorch's optimizers keep of each parameter, under the names of Python's
// state_dict ("exp_avg"). A field is a tensor, undefined where there is none, or a
// number.
#pragma once

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <memory>
#include <stdexcept>

namespace lockstep::checkpoint {

template <class Visit>
void visit_fields(torch::optim::SGDParamState& state, const Visit& visit) {
  visit("momentum_buffer", state.momentum_buffer());
}

template <class Visit>
void visit_fields(torch::optim::RMSpropParamState& state, const Visit& visit) {
  visit("step", state.step());
  visit("square_avg", state.square_avg());
  visit("momentum_buffer", state.momentum_buffer());
  visit("grad_avg", state.grad_avg());
}

// Adam's and AdamW's.
template <class State, class Visit>
void visit_fields(State& state, const Visit& visit) {
  visit("step", state.step());
  visit("exp_avg", state.exp_avg());
  visit("exp_avg_sq", state.exp_avg_sq());
  visit("max_exp_avg_sq", state.max_exp_avg_sq());
}

// Calls `use` with a new state of the kind that this optimizer keeps, so that it knows
// the type. Throws std::invalid_argument for another one than these.
template <class Use>
void with_state_of(torch::optim::Optimizer& optimizer, const Use& use) {
  const auto is = [&]<class Kind, class State>() {
    if (dynamic_cast<Kind*>(&optimizer) == nullptr) return false;
    use(std::make_unique<State>());
    return true;
  };
  using namespace torch::optim;
  if (is.template operator()<SGD, SGDParamState>() ||
      is.template operator()<Adam, AdamParamState>() ||
      is.template operator()<AdamW, AdamWParamState>() ||
      is.template operator()<RMSprop, RMSpropParamState>()) {
    return;
  }
  throw std::invalid_argument(
      "checkpoints hold the state of SGD, Adam, AdamW and RMSprop, and this run's "
      "optimizer is another; leave checkpoints out, or take one of these");
}

}  // namespace lockstep::checkpoint
