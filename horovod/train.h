// Horovod's way: one process a card, the same model on each, gradients submitted by
// name as they come and averaged by a thread in the background, which asks all ranks
// what they have. Over many machines it is this very loop.
#pragma once

#include "launch/world.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::horovod {

// Trains on the calling thread, as one rank of `world`; the report is the whole job's.
TrainReport train(const TrainOptions& options, const World& world);

}  // namespace lockstep::horovod
