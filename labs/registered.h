// The one line by which a file puts a part of its own into a registry, as it is loaded:
//
//   const Registered reducer(ddp::reducers(), "student", &make_mine);
#pragma once

#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include "registry/registry.h"

namespace lockstep::labs {

template <class Factory>
struct Registered {
  Registered(Registry<Factory>& registry, const std::string& name,
             std::type_identity_t<std::function<Factory>> factory) {
    registry.add(name, std::move(factory));
  }
};

}  // namespace lockstep::labs
