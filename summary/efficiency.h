// What of N cards' speed a case has, over one card's: the plain loop's, or DDP's own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rows/row.h"

namespace lockstep::summary {

// Throughput over N times one card's: medians of the repetitions of the case of this
// name and of the plain loop, or of DDP's one rank the same way through DDP, on the
// same batch by the same scaling. Nothing where either was not measured, and DDP's for
// DDP alone.
std::optional<double> scaling_efficiency(const std::vector<rows::Row>& rows,
                                         const std::string& name);
std::optional<double> efficiency_over_one_rank(const std::vector<rows::Row>& rows,
                                               const std::string& name);

}  // namespace lockstep::summary
