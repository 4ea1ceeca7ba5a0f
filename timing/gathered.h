// What all ranks noted, on rank 0's clock, as one run.
#pragma once

#include <string>
#include <vector>

#include "comm/process_group.h"
#include "timing/bucket_times.h"
#include "timing/clock_offset.h"

namespace lockstep::timing {

// Collective. `run` has what is the same on all ranks, and rank 0 gets it back with the
// steps, clocks and hosts of all, its first step beginning at 0; the others get it as
// it is. Steps that not all ranks have are left out.
RunTimes gathered(comm::ProcessGroup& group, RunTimes run, const std::string& host,
                  const AlignedClock& clock, const std::vector<StepTimes>& steps);

}  // namespace lockstep::timing
