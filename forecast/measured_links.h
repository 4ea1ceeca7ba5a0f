// The link between cards, fitted to what `bench collectives --out FILE` measured.
#pragma once

#include <string>

#include "predict/cluster.h"

namespace lockstep::forecast {

// `cluster` with the latency and bandwidth inside a host that suit the file's
// all_reduces by the backend's own algorithm; of the first backend where there are
// several. Throws std::runtime_error naming the file where it cannot be read or holds
// none of several ranks.
predict::Cluster fitted_to(const std::string& path, predict::Cluster cluster);

}  // namespace lockstep::forecast
