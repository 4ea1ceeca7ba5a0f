// What the command line changes in a configuration.
#pragma once

#include <string>
#include <vector>

#include "config/node.h"

namespace lockstep::config {

// As load() says of its `changes`. Throws Error.
void apply_changes(Node& root, const std::vector<std::string>& changes);

}  // namespace lockstep::config
