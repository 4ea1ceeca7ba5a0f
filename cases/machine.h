// Where and when numbers were taken, and what would make them worthless.
#pragma once

#include <string>
#include <vector>

#include "cases/sweep.h"
#include "rows/row.h"

namespace lockstep::cases {

int cores();
rows::MachineRow this_machine();
std::string utc_now();         // ISO 8601
std::string current_commit();  // of the source tree; "unknown" outside of one

// One line each, to be printed before any number: a debug build, more
// threads than cores, a machine that is busy with something else.
std::vector<std::string> warnings(const std::vector<Case>& cases);

}  // namespace lockstep::cases
