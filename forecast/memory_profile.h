// A model's step as predict/ wants it for memory, from runs of one card at two small
// batches.
#pragma once

#include "cases/child_run.h"
#include "cases/sweep.h"
#include "predict/step_memory.h"

namespace lockstep::forecast {

// `one`: whose model and threads; `sweep`: the data set, and a batch that the smallest
// ones must stay below. Throws std::runtime_error where no two batches are the same
// sequence; Stopped.
predict::StepMemory profile_memory(const Case& one, const Sweep& sweep,
                                   const Children& children);

}  // namespace lockstep::forecast
