// The rows as a table for a terminal: one line a case, medians over its repetitions.
#pragma once

#include <string>
#include <vector>

#include "rows/row.h"

namespace lockstep::bench {

std::string table(const std::vector<rows::Row>& rows);

}  // namespace lockstep::bench
