// A part's name in a configuration: `type`, of a registry.
#pragma once

#include <string>

#include "config/section.h"
#include "registry/registry.h"

namespace lockstep::config {

// The name under which the registry has it. `usual` stands for a table without `type`;
// empty: it must be there. Throws Error, with the nearest name.
template <class Factory>
std::string type_in(const Section& config, const std::string& usual,
                    const Registry<Factory>& registry, const std::string& scope) {
  if (usual.empty() && !config.has("type")) {
    std::string known;
    for (const std::string& name : registry.names()) known += ", " + name;
    config.fail("type", "is missing; known are" + known.substr(1));
  }
  const std::string type = config.text("type", usual);
  std::string name;
  config.checked("type", [&] { name = registry.full_name(type, scope); });
  return name;
}

}  // namespace lockstep::config
