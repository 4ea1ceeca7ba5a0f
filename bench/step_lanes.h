// One step of every card of a case, laid out in time: which stage it was in, which
// collectives were under way. From the traces that the case's program leaves with
// --trace, for they have both.
//
// Not here: how it is drawn (charts/).
#pragma once

#include <string>
#include <vector>

#include "bench/measure.h"

namespace lockstep::bench {

// Of the traces' texts, one a process: the middle one of their steps, on the lanes of
// cards and of their communication; no operators, and no range that is shorter than a
// microsecond. Throws std::exception where they are no such traces.
rows::StepLanesRow step_lanes_of(const std::vector<std::string>& traces);

// A few steps once more (measure.h), and one of them.
void record_step_lanes(const Plan& plan, const Children& children,
                       std::vector<rows::Row>& rows);

}  // namespace lockstep::bench
