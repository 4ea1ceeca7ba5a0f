#include "reports/words.h"

#include <algorithm>
#include <cstdio>

namespace lockstep::reports {

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

std::string short_number(double value) {
  return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

std::string name_of(const Case& each) {
  return each.series + " · " + count_of(each.cards, "card");
}

std::string grouped(double value) {
  std::string digits = fixed(value, 0);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), "\u202f");
  }
  return value < 1000 ? short_number(value) : digits;
}

std::string count_of(int64_t n, const std::string& thing) {
  return std::to_string(n) + " " + thing + (n == 1 ? "" : "s");
}

std::string name_of_card(int card) {
  return card == 0 ? "card 0 (primary)" : "card " + std::to_string(card);
}

std::string spaced(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '_' || c == '-'; }, ' ');
  return name;
}

}  // namespace lockstep::reports
