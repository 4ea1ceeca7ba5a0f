// The module on every card. The primary card's replica is the module itself; the others
// are copies, refreshed before each forward pass: made once and kept, or made anew for
// every step and dropped after it, as PyTorch does. Only the primary card's buffers
// survive a step (batch norm's running statistics), as in PyTorch.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "data_parallel/card_threads.h"
#include "data_parallel/flat_tensors.h"
#include "device/card.h"
#include "device/gradient_tags.h"

namespace lockstep::data_parallel {

using ModulePtr = std::shared_ptr<torch::nn::Module>;

class Replicas {
 public:
  // The module must be able to clone() itself (torch::nn::Cloneable) and lie on the
  // first card: throws std::invalid_argument naming the parameter that does not. Unless
  // replicas are made for every step, its parameters and buffers become views of one
  // piece of memory. `threads` must outlive this.
  Replicas(ModulePtr module, const std::vector<Card>& cards, bool every_step,
           CardThreads& threads);

  // Replicate, in two parts. Before the cards run: the first `count` have a replica.
  // What a step that failed left behind is forgotten.
  void prepare(size_t count);
  // On each card's thread: it becomes as the primary card's module is, in parameters,
  // buffers and modes (training, frozen). That must stay as it is meanwhile.
  void refresh(size_t replica);

  torch::nn::Module& operator[](size_t replica) { return *copies_[replica].module; }

  // The parameters that gradients reach: the same ones in the same order on all cards,
  // each once. A copy that lost a tie has two gradients for one parameter: they have
  // become one.
  Tensors trained(size_t replica) const;

  // After a step: its gradients on other cards than the primary are forgotten, and so
  // are replicas that are made for every step.
  void finish_step();

 private:
  struct Copy {
    ModulePtr module;
    at::Tensor flat;
    std::unique_ptr<device::GradientTags> tags;
  };

  void check_card() const;
  void flatten_module();
  void make_copies(size_t count);
  void drop_copies();
  // Of the module, without its place in one piece of memory.
  Copy make_copy(size_t replica) const;
  // The module's; and the copy's gradients are forgotten.
  void take_modes(torch::nn::Module& copy) const;

  std::vector<Card> cards_;
  bool every_step_;
  CardThreads& threads_;
  FlatLayout layout_;
  std::vector<Copy> copies_;  // the first is the module itself
};

}  // namespace lockstep::data_parallel
