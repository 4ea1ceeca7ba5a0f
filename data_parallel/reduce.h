// Reduce: every replica's gradients are summed on the primary card. The ways of doing
// it, by name.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <string>
#include <vector>

#include "data_parallel/card_threads.h"
#include "device/card.h"
#include "registry/registry.h"

namespace lockstep::data_parallel {

using Tensors = std::vector<at::Tensor>;

// What the replicas of a step bring to the primary card.
struct Replicated {
  Replicated(size_t replicas, const std::vector<Card>& on, const CardThreads& by)
      : parameters(replicas), cards(on), threads(by), met(replicas) {}

  std::vector<Tensors> parameters;  // [replica][parameter]; replica r's on cards[r]
  const std::vector<Card>& cards;
  const CardThreads& threads;
  // tree: [card] of the two halves of a branch, the second beginning with this card,
  // one is complete.
  std::vector<std::atomic<bool>> met;
};

// A card's part, once its own gradients are there: the last thing that it does in a
// run() of all cards. Together they add the gradients of parameters[1 ..]
// [i] to that of parameters[0][i]; one that has no gradient adds none. What is left of
// the others' gradients is of no meaning. Where a card fails, so does the run, and the
// sums are of no meaning either.
using Reduction = void(size_t card, Replicated& replicated);

// serial: the primary card fetches one replica's gradients after the other's, as
//   LibTorch adds them (ReduceAdd in torch/nn/parallel/data_parallel.h): N-1 turns.
// tree: cards in pairs, the one's gradients added to the other's, then pairs of these,
//   side by side: log2 N turns. A combining tree (Yew, Tzeng and Lawrie, 1987).
// nccl: one ncclReduce a parameter, between CUDA devices.
Registry<Reduction>& reductions();

// "auto" becomes nccl between CUDA devices, else serial. Throws std::invalid_argument
// for a way that the cards cannot go.
std::string resolve_reduction(const std::string& name, const Card& primary);

}  // namespace lockstep::data_parallel
