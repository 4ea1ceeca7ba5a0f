// The layers of a simulated network, as the command line names them.
#pragma once

#include <string>
#include <vector>

#include "simulator/timed_net.h"

namespace lockstep::gantt {

// Like a convnet's: what is near the images has few parameters, what is near the
// classes many, and each takes as long as another.
inline constexpr const char* kUsualLayers =
    "20k:2:4,80k:2:4,300k:2:4,600k:2:4,1.2M:2:4,2.4M:2:4";

// Layers with commas between, first layer first, each
// PARAMETERS:FORWARD_MS:BACKWARD_MS; "3x50k:1:2" are three such. Throws
// std::invalid_argument naming the one that is wrong.
std::vector<simulator::TimedLayer> parse_layers(const std::string& text);

}  // namespace lockstep::gantt
