#include "data_parallel/replicas.h"

#include <ATen/core/grad_mode.h>

#include "comm/nccl.h"

namespace lockstep::data_parallel {

Replicas::Replicas(const Network& model, const std::vector<Card>& cards)
    : cards_(cards),
      over_nccl_(cards.size() > 1 && !cards.front().emulated()),
      replicas_({model}) {
  for (size_t i = 1; i < cards_.size(); ++i) {
    const device::AccountScope account({cards_[i].index(), device::Category::replicas});
    replicas_.emplace_back(std::dynamic_pointer_cast<torch::nn::SequentialImpl>(
        model->clone(cards_[i].torch_device())));
    // What is frozen is frozen on every card: clone() forgets it.
    const std::vector<at::Tensor> originals = model->parameters();
    std::vector<at::Tensor> copies = replicas_[i]->parameters();
    for (size_t p = 0; p < copies.size(); ++p) {
      copies[p].requires_grad_(originals[p].requires_grad());
    }
    tags_.push_back(std::make_unique<device::GradientTags>(replicas_[i]->parameters()));
  }
}

void Replicas::refresh() {
  const at::NoGradGuard no_grad;
  for (Network& replica : replicas_) replica->train(replicas_[0]->is_training());
  broadcast(&torch::nn::Module::parameters);
  broadcast(&torch::nn::Module::buffers);
}

void Replicas::broadcast(Tensors tensors_of) {
  std::vector<std::vector<at::Tensor>> on_card;
  for (const Network& replica : replicas_) {
    on_card.push_back((replica.get()->*tensors_of)(/*recurse=*/true));
  }
  for (size_t i = 0; i < on_card.front().size(); ++i) {
    if (over_nccl_) {
      std::vector<at::Tensor> copies;
      for (const auto& tensors : on_card) copies.push_back(tensors[i].detach());
      comm::nccl_broadcast(copies);
      continue;
    }
    for (size_t card = 1; card < on_card.size(); ++card) {
      on_card[card][i].copy_(on_card[0][i], /*non_blocking=*/true);
    }
  }
}

void Replicas::reduce_gradients() {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<at::Tensor>> parameters;
  for (const Network& replica : replicas_) parameters.push_back(replica->parameters());
  for (size_t i = 0; i < parameters.front().size(); ++i) {
    if (!over_nccl_ || !reduce_over_nccl(parameters, i)) add_in_turn(parameters, i);
    for (size_t card = 1; card < parameters.size(); ++card) {
      parameters[card][i].mutable_grad().reset();
    }
  }
}

bool Replicas::reduce_over_nccl(const std::vector<std::vector<at::Tensor>>& parameters,
                                size_t i) {
  std::vector<at::Tensor> grads;
  for (const auto& of_card : parameters) {
    const at::Tensor& grad = of_card[i].grad();
    if (!grad.defined() || !grad.is_contiguous()) return false;
    grads.push_back(grad);
  }
  comm::nccl_reduce(grads);
  return true;
}

void Replicas::add_in_turn(const std::vector<std::vector<at::Tensor>>& parameters,
                           size_t i) {
  at::Tensor& sum = parameters[0][i].mutable_grad();
  for (size_t card = 1; card < parameters.size(); ++card) {
    const at::Tensor& grad = parameters[card][i].grad();
    if (!grad.defined()) continue;
    // Really moved to the primary card before it is added: its memory and its time.
    const at::Tensor arrived = cards_[0].put(grad, device::Category::gradients);
    if (sum.defined()) {
      sum.add_(arrived);
    } else {
      sum = arrived;
    }
  }
}

}  // namespace lockstep::data_parallel
