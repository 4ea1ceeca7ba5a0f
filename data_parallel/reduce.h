// Reduce: every replica's gradients are summed on the primary card. The ways of doing
// it, by name.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "data_parallel/card_threads.h"
#include "device/card.h"
#include "training/registry.h"

namespace lockstep::data_parallel {

using Tensors = std::vector<at::Tensor>;

// Adds the gradients of parameters[1 ..][i] to that of parameters[0][i]; replica r's
// lie on cards[r], and one that has no gradient adds none. What it leaves of the
// others' gradients is of no meaning.
using Reduction = void(const std::vector<Tensors>& parameters,
                       const std::vector<Card>& cards, CardThreads& threads);

// serial: the primary card fetches one replica's gradient after the other, as LibTorch
//   adds them (ReduceAdd in torch/nn/parallel/data_parallel.h): N-1 turns.
// tree: cards in pairs, the one adding the other's, then pairs of these, side by side:
//   log2 N turns.
// nccl: one ncclReduce a parameter, between CUDA devices.
training::Registry<Reduction>& reductions();

// "auto" becomes nccl between CUDA devices, else serial. Throws std::invalid_argument
// for a way that the cards cannot go.
std::string resolve_reduction(const std::string& name, const Card& primary);

}  // namespace lockstep::data_parallel
