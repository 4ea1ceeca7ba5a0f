// Finds the numbers of a cluster that measurements leave open: least squares of the
// logarithms of predicted over measured, so that an error of 5 % counts alike at every
// size.
#pragma once

#include <functional>
#include <vector>

#include "predict/cluster.h"

namespace lockstep::predict {

struct Measured {
  std::function<double(const Cluster&)> predict;  // the same thing, in seconds
  double seconds = 0;
};

// Varies all but the counts, starting at `guess`; what the measurements do not tell
// stays near it. A number that is 0 in the guess stays 0.
Cluster fit(const Cluster& guess, const std::vector<Measured>& measured);

}  // namespace lockstep::predict
