// The rows as a table for a terminal: one line a case, medians over its repetitions.
#pragma once

#include <string>
#include <vector>

#include "rows/row.h"

namespace lockstep::summary {

std::string table(const std::vector<rows::Row>& rows);

// Of CUDA cards: what the allocator handed out and reserved, and what the driver counts
// of the process. Empty where there is none.
std::string driver_memory_table(const std::vector<rows::Row>& rows);

// Of `bench scaling`: speed-ups and efficiencies over both of DDP's baselines, the
// plain loop and DDP of one rank.
std::string scaling_table(const std::vector<rows::Row>& rows);
// Of `bench bucket-sweep`: each cap's step, the best marked.
std::string bucket_table(const std::vector<rows::Row>& rows);

}  // namespace lockstep::summary
