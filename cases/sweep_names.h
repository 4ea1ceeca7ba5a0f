// What the tests of sweeps look at: the names of their cases, and why one is refused.
// For tests alone.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "cases/sweep.h"

namespace lockstep::cases {

using Names = std::vector<std::string>;

inline Names names_of(Sweep sweep, int cores = 4) {
  Names names;
  for (const Case& one : cases_of(sweep, cores)) names.push_back(one.name());
  return names;
}

inline std::string refusal(const Sweep& sweep) {
  try {
    validate(sweep);
    Sweep filled = sweep;
    cases_of(filled, 2);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

}  // namespace lockstep::cases
