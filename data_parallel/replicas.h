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

  // Reduce: adds every replica's gradients to the primary card's, one replica after the
  // other as LibTorch adds them, and forgets them on their cards.
  void reduce_gradients();

  Network& operator[](size_t card) { return replicas_[card]; }

 private:
  std::vector<Card> cards_;
  std::vector<Network> replicas_;
  std::vector<std::unique_ptr<device::GradientTags>> tags_;
};

}  // namespace lockstep::data_parallel
