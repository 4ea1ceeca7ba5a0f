// Numbers in the words of what a check saw: "3, 4, 5", "none", "0, 2, 4 and 97 more".
#pragma once

#include <cstddef>
#include <string>

namespace lockstep::labs {

template <class Numbers>
std::string listed(const Numbers& numbers, size_t most = 16) {
  std::string text;
  size_t count = 0;
  for (const auto number : numbers) {
    if (++count <= most) text += (count > 1 ? ", " : "") + std::to_string(number);
  }
  if (count > most) text += " and " + std::to_string(count - most) + " more";
  return count == 0 ? "none" : text;
}

}  // namespace lockstep::labs
