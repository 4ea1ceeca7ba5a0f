#include "gantt/layers.h"

#include <cmath>
#include <sstream>
#include <stdexcept>

namespace lockstep::gantt {
namespace {

constexpr int64_t kMostLayers = 1000;

// A number at the beginning of `text`, which loses it. Negative: there is none.
double take_number(std::string& text) {
  size_t read = 0;
  double value = -1;
  try {
    value = std::stod(text, &read);
  } catch (const std::logic_error&) {
  }
  if (!std::isfinite(value)) value = -1;
  text.erase(0, read);
  return value;
}

bool take(std::string& text, char letter) {
  if (text.empty() || text[0] != letter) return false;
  text.erase(0, 1);
  return true;
}

}  // namespace

std::vector<simulator::TimedLayer> parse_layers(const std::string& text) {
  std::vector<simulator::TimedLayer> layers;
  std::istringstream all(text);
  for (std::string one; std::getline(all, one, ',');) {
    std::string left = one;
    double count = 1, elements = take_number(left);
    if (take(left, 'x')) {
      count = elements;
      elements = take_number(left);
    }
    if (take(left, 'k')) elements *= 1e3;
    if (take(left, 'M')) elements *= 1e6;
    simulator::TimedLayer layer;
    bool good = elements >= 1 && elements <= 1e9 && count >= 1 && take(left, ':');
    layer.elements = static_cast<int64_t>(good ? std::llround(elements) : 0);
    layer.forward_s = take_number(left) / 1e3;
    good &= take(left, ':');
    layer.backward_s = take_number(left) / 1e3;
    good &= left.empty() && layer.forward_s >= 0 && layer.backward_s >= 0 &&
            layer.forward_s < 1e4 && layer.backward_s < 1e4 &&
            count + static_cast<double>(layers.size()) <= kMostLayers;
    if (!good) {
      throw std::invalid_argument(
          "--layers: \"" + one +
          "\" is no PARAMETERS:FORWARD_MS:BACKWARD_MS, as 1.2M:2:4 or 3x50k:1:2 is");
    }
    layers.insert(layers.end(), static_cast<size_t>(count), layer);
  }
  if (layers.empty()) throw std::invalid_argument("--layers: there is none");
  return layers;
}

}  // namespace lockstep::gantt
