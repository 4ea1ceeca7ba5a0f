// "[rank 3 nodeb] ": who speaks, before a rank's line where ranks of several machines,
// or those that srun or mpirun started, speak into one terminal or file. One prefix at
// most: not where the launcher puts its own before every line (LOCKSTEP_LINES_PREFIXED,
// srun --label, mpirun --tag-output), and none for the ranks of one machine that a
// program of ours or torchrun started.
#pragma once

#include <string>

#include "launch/environment.h"
#include "launch/world.h"

namespace lockstep::program {

// Empty: none is needed.
std::string line_prefix(const World& world, const launch::Environment& environment,
                        const std::string& host);

}  // namespace lockstep::program
