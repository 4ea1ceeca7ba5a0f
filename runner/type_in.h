// A part's name in a configuration: `type`, of a registry.
#pragma once

#include <stdexcept>
#include <string>

#include "config/section.h"
#include "registry/registry.h"

namespace lockstep::runner {

// The name under which the registry has it. `usual` stands for a table without `type`;
// empty: it must be there. Throws config::Error, with the nearest name.
template <class Factory>
std::string type_in(const config::Section& config, const std::string& usual,
                    const Registry<Factory>& registry, const std::string& scope) {
  const std::string type =
      usual.empty() ? config.required_text("type") : config.text("type", usual);
  try {
    return registry.full_name(type, scope);
  } catch (const std::invalid_argument& error) {
    config.fail("type", error.what());
  }
}

}  // namespace lockstep::runner
