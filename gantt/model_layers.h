// A real network as the layers of a simulated one: a layer for each parameter tensor,
// in the order in which backward comes to them, with the times of a step on one thread
// of this machine.
//
// Not here: times that can be trusted to the digit (`bench` has those).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulator/timed_net.h"

namespace lockstep::gantt {

// Of the middle one of a few steps on made-up samples. A layer's part of the forward
// pass is taken to be its part of the backward pass. Throws std::invalid_argument where
// there is no such model.
std::vector<simulator::TimedLayer> layers_of_model(const std::string& model,
                                                   int64_t batch_size);

}  // namespace lockstep::gantt
