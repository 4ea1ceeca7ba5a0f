// The link between cards, fitted to what `bench collectives --out FILE` measured.
#pragma once

#include <istream>
#include <string>

#include "predict/cluster.h"

namespace lockstep::forecast {

// `cluster` with the latencies and bandwidths that suit the all_reduces by the
// backend's own algorithm among these lines; of the first backend where there are
// several. Throws std::runtime_error naming the line, `where`:3, that is none, or
// `where` where there is none of several ranks.
predict::Cluster fitted_to(std::istream& lines, const std::string& where,
                           predict::Cluster cluster);

// Of a file.
predict::Cluster fitted_to(const std::string& path, predict::Cluster cluster);

// Bytes a second of the largest copy of each rank within its own memory among the
// lines; 0: none.
double copied_bytes_per_s(std::istream& lines);

}  // namespace lockstep::forecast
