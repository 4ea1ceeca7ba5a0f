// The records of the bucket-size curve: cases that differ in their bucket cap alone are
// one curve.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "charts/charts.h"
#include "charts/words.h"

namespace lockstep::charts {

using nlohmann::json;

namespace {

constexpr const char* kOption = "bucket-cap-mb";

// The name of a case without its cap: what the cases of one curve share.
std::string curve_of(const Case& each) {
  std::istringstream words(each.series);
  std::string word, curve;
  while (words >> word) {
    if (word.rfind(std::string(kOption) + "=", 0) == 0) continue;
    const bool mode = curve.empty();
    curve += mode ? word : " " + short_option(word);
  }
  return curve + " · " + count_of(each.cards, "card");
}

}  // namespace

std::vector<std::vector<const Case*>> cap_curves(const std::vector<Case>& cases) {
  std::vector<std::vector<const Case*>> curves;
  std::map<std::pair<std::string, std::string>, size_t> places;
  const auto cap = [](const Case* each) {
    return std::atof(option_of(*each, kOption).c_str());
  };
  for (const Case& each : cases) {
    if (!each.step_ms || option_of(each, kOption).empty()) continue;
    const auto [place, is_new] =
        places.emplace(std::pair(each.model, curve_of(each)), curves.size());
    if (is_new) curves.emplace_back();
    curves[place->second].push_back(&each);
  }
  for (auto& curve : curves) {
    std::stable_sort(curve.begin(), curve.end(),
                     [&cap](const Case* a, const Case* b) { return cap(a) < cap(b); });
  }
  std::erase_if(curves, [&cap](const auto& curve) {
    return cap(curve.front()) == cap(curve.back());
  });
  return curves;
}

const Case* best_of(const std::vector<const Case*>& curve) {
  return *std::min_element(curve.begin(), curve.end(),
                           [](const Case* a, const Case* b) {
                             return a->step_ms->median < b->step_ms->median;
                           });
}

json caps_data(const std::vector<Case>& cases) {
  json data = json::array();
  for (const auto& curve : cap_curves(cases)) {
    const Case* best = best_of(curve);
    for (const Case* each : curve) {
      data.push_back({{"kind", "measured"},
                      {"id", each->id},
                      {"model", each->model},
                      {"curve", curve_of(*each)},
                      {"cap", option_of(*each, kOption)},
                      {"cap_order", std::atof(option_of(*each, kOption).c_str())},
                      {"ms", rounded(each->step_ms->median, 6)},
                      {"low", rounded(each->step_ms->low, 6)},
                      {"high", rounded(each->step_ms->high, 6)},
                      {"repetitions", each->ok.size()},
                      {"best", each == best}});
    }
  }
  return data;
}

}  // namespace lockstep::charts
