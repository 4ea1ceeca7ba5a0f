// A network whose layers take so long in each direction by the virtual clock, and have
// real parameters and gradients besides: what a reducer sees of a model, at a pace that
// is known beforehand.
#pragma once

#include <vector>

#include "model/networks.h"

namespace lockstep::simulator {

struct TimedLayer {
  int64_t elements = 0;  // of its one parameter
  double forward_s = 0;
  double backward_s = 0;  // its gradient is ready at the end of it
};

// y = x * mean(parameter) layer after layer: a gradient of a rank depends on the rank's
// input. On a thread of no simulation it takes no time.
Network timed_net(const std::vector<TimedLayer>& layers, uint64_t seed);

}  // namespace lockstep::simulator
