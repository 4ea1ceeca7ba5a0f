// Before anything is measured: what the programs would refuse, and what would be run.
#pragma once

#include <string>
#include <vector>

#include "bench/command_line.h"
#include "cases/child_run.h"
#include "cases/sweep.h"

namespace lockstep::bench {

// Each program looks at each of its models and ways once, with the most cards and
// samples: what it would refuse is known before anything is written or measured. Throws
// as Children::dry_run().
void check_with_programs(const std::vector<Case>& cases, const Children& children);

// A line a case, its name and its command, and last how many runs and steps they are,
// and what else the options ask for.
std::string what_would_run(const std::vector<Case>& cases, const BenchLine& line,
                           const Children& children);

}  // namespace lockstep::bench
