// The command line's options as a configuration's keys: the rooms beneath refuse
// "--backend nccl", and who wrote a configuration knows env_cfg.dist_cfg.backend. Not a
// second check of anything, and no list of the keys that there are: see runner.cpp.
#pragma once

#include <functional>

#include "config/section.h"

namespace lockstep::runner {

// Calls it. A std::invalid_argument that begins with an option, as "--backend nccl
// moves ...", becomes a config::Error at the key's place; of all of them "try --backend
// gloo" becomes "try backend gloo", and so it does of a std::runtime_error's.
void in_keys(const config::Section& top, const std::function<void()>& check);

}  // namespace lockstep::runner
