// Of a list that sweeps: what is named twice is run once.
#pragma once

#include <algorithm>
#include <vector>

namespace lockstep::cases {

// As they were given, without those named before.
template <typename Value>
std::vector<Value> each_once(const std::vector<Value>& values) {
  std::vector<Value> once;
  for (const Value& value : values) {
    if (std::find(once.begin(), once.end(), value) == once.end()) once.push_back(value);
  }
  return once;
}

}  // namespace lockstep::cases
