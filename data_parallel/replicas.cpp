#include "data_parallel/replicas.h"

#include <ATen/core/grad_mode.h>

namespace lockstep::data_parallel {

Replicas::Replicas(const Network& model, const std::vector<Card>& cards)
    : cards_(cards), replicas_({model}) {
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
  const auto copy_all = [](const std::vector<at::Tensor>& from,
                           std::vector<at::Tensor> to) {
    for (size_t i = 0; i < from.size(); ++i)
      to[i].copy_(from[i], /*non_blocking=*/true);
  };
  for (size_t card = 1; card < replicas_.size(); ++card) {
    replicas_[card]->train(replicas_[0]->is_training());
    copy_all(replicas_[0]->parameters(), replicas_[card]->parameters());
    copy_all(replicas_[0]->buffers(), replicas_[card]->buffers());
  }
}

void Replicas::reduce_gradients() {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> primary = replicas_[0]->parameters();
  for (size_t card = 1; card < replicas_.size(); ++card) {
    std::vector<at::Tensor> parameters = replicas_[card]->parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor& grad = parameters[i].mutable_grad();
      if (!grad.defined()) continue;
      // Really moved to the primary card before it is added: its memory and its time.
      const at::Tensor arrived = cards_[0].put(grad, device::Category::gradients);
      at::Tensor& sum = primary[i].mutable_grad();
      if (sum.defined()) {
        sum.add_(arrived);
      } else {
        sum = arrived;
      }
      grad.reset();
    }
  }
}

}  // namespace lockstep::data_parallel
