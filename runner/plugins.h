// Parts of somebody else's: shared libraries that a configuration names under
// `custom_imports`, each of which adds its parts to the registries in one function:
//
//   extern "C" void register_parts() {
//     lockstep::training::models().add("mine.tiny", &tiny);
//   }
#pragma once

#include "config/section.h"

namespace lockstep::runner {

// Opens them, for good, in their order. A path is looked for from the configuration's
// folder, then from lib/ beside the program's own, then where the system's linker
// looks. Throws config::Error.
void load_plugins(const config::Section& config, const std::string& folder);

}  // namespace lockstep::runner
