#include "charts/words.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace lockstep::charts {

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

double rounded(double value, int figures) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double unit =
      std::pow(10.0, figures - 1 - std::floor(std::log10(std::abs(value))));
  return std::round(value * unit) / unit;
}

std::string short_number(double value) {
  return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

std::string short_option(const std::string& option) {
  const size_t equals = option.find('=');
  const std::string key = option.substr(0, equals);
  const std::string value =
      equals == std::string::npos ? "" : option.substr(equals + 1);
  if (key == "bucket-cap-mb") return value + " MiB";
  if (key == "fusion-threshold-mb") return value + " MiB fused";
  if (key == "cycle-time-ms") return "cycles of " + value + " ms";
  if (key == "fp16-allreduce") return "fp16";
  if (key == "batch-size" || key == "global-batch-size") return "batch " + value;
  for (const char* plain : {"backend", "reducer", "dataset", "scaling", "precision"}) {
    if (key == plain) return value;
  }
  return option;
}

std::string name_of(const Case& each) {
  std::istringstream options(each.variant);
  std::string option, name = each.mode;
  while (options >> option) name += " " + short_option(option);
  return name + " · " + count_of(each.cards, "card");
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

std::string spoken_mode(const std::string& mode) {
  for (const auto& [word, spoken] :
       {std::pair("ddp", "DDP"), {"dp", "DataParallel"}, {"horovod", "Horovod"}}) {
    const std::string way = std::string(word) + "-";
    if (mode == word) return spoken;
    if (mode.rfind(way, 0) == 0) {
      return std::string(spoken) + " (" + spaced(mode.substr(way.size())) + ")";
    }
  }
  return mode == "single" ? "One card" : mode == "bound" ? "The bound" : mode;
}

std::string spaced(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '_' || c == '-'; }, ' ');
  return name;
}

}  // namespace lockstep::charts
