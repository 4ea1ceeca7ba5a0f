// DataParallel: one process, a thread a card. The whole batch goes to the primary card,
// is scattered, and everything comes back there: that is its load, and this loop shows
// it.
#pragma once

#include "launch/world.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::data_parallel {

// Trains on the calling thread, which works for the primary card. `world` is one rank.
TrainReport train(const TrainOptions& options, const World& world);

}  // namespace lockstep::data_parallel
