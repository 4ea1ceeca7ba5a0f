// DistributedDataParallel: one process a card, the same model on each, gradients
// averaged over all of them by a reducer. Over many machines it is this very loop.
#pragma once

#include "launch/world.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::ddp {

// Trains on the calling thread, as one rank of `world`; the report is the whole job's.
TrainReport train(const TrainOptions& options, const World& world);

}  // namespace lockstep::ddp
