// How this process's cards compute. LibTorch keeps these settings for all threads and
// devices, so that a run sets them once, before its first tensor.
#pragma once

#include "training/options.h"

namespace lockstep::training {

// TF32 where options.precision says so and nowhere else (LibTorch would let
// convolutions on CUDA round to it, unasked); options.cudnn_benchmark;
// options.deterministic. Throws std::invalid_argument where the last two contradict
// each other.
void set_numerics(const TrainOptions& options);

}  // namespace lockstep::training
