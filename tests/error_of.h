// What an act says when it throws. For tests alone.
#pragma once

#include <exception>
#include <functional>
#include <string>

namespace lockstep {

inline std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "none";
}

}  // namespace lockstep
