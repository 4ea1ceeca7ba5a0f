// The model on every card. The primary card's replica is the model itself; the others
// are copies, made once and refreshed before each forward pass. Only the primary card's
// buffers survive a step (batch norm's running statistics), as in PyTorch.
#pragma once

#include <memory>
#include <vector>

#include "device/card.h"
#include "device/gradient_tags.h"
#include "model/networks.h"

namespace lockstep::data_parallel {

class Replicas {
 public:
  Replicas(const Network& model, const std::vector<Card>& cards);

  // Replicate: the primary card's parameters and buffers to every card.
  void refresh();

  // Reduce: adds every replica's gradients to the primary card's and forgets them on
  // their cards. Between CUDA devices NCCL does it, between emulated cards one replica
  // comes after the other, as LibTorch adds them.
  void reduce_gradients();

  Network& operator[](size_t card) { return replicas_[card]; }

 private:
  using Tensors = std::vector<at::Tensor> (torch::nn::Module::*)(bool) const;
  void broadcast(Tensors tensors_of);
  // The i-th parameter's gradients, of all cards' parameters. False where NCCL cannot:
  // a card has none, or it is not contiguous.
  static bool reduce_over_nccl(const std::vector<std::vector<at::Tensor>>& parameters,
                               size_t i);
  void add_in_turn(const std::vector<std::vector<at::Tensor>>& parameters, size_t i);

  std::vector<Card> cards_;
  bool over_nccl_;
  std::vector<Network> replicas_;
  std::vector<std::unique_ptr<device::GradientTags>> tags_;
};

}  // namespace lockstep::data_parallel
