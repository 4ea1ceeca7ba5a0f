// The plain loop: one model, one card. Every other loop is this one and a few lines.
#pragma once

#include "launch/world.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::single_gpu {

// Trains on the calling thread. `world` is one rank.
TrainReport train(const TrainOptions& options, const World& world);

}  // namespace lockstep::single_gpu
