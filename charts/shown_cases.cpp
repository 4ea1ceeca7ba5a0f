// Which cases a chart shows where all of them are too many to be read.
#include <algorithm>
#include <map>
#include <tuple>

#include "charts/cases.h"

namespace lockstep::charts {

std::vector<Case> shown_cases(const std::vector<Case>& cases) {
  constexpr int kMost = 24;
  std::map<std::string, int> of_model;
  for (const Case& each : cases) ++of_model[each.model];
  std::map<std::tuple<std::string, std::string, std::string, int>, const Case*> fastest;
  for (const Case& each : cases) {
    if (!each.step_ms) continue;
    const Case*& best =
        fastest[{each.model, each.mode, option_of(each, "backend"), each.cards}];
    if (best == nullptr || each.step_ms->median < best->step_ms->median) best = &each;
  }
  std::vector<Case> shown;
  for (const Case& each : cases) {
    const auto best =
        fastest.find({each.model, each.mode, option_of(each, "backend"), each.cards});
    const bool is_best = best != fastest.end() && best->second == &each;
    if (of_model[each.model] <= kMost || is_best) shown.push_back(each);
  }
  return shown;
}

std::vector<const Case*> largest_cases(const std::vector<Case>& cases,
                                       const std::function<bool(const Case&)>& has) {
  constexpr size_t kMost = 6;
  std::map<std::string, std::map<std::string, const Case*>> by_series, by_mode;
  const auto put = [](const Case*& most, const Case& each) {
    if (most == nullptr || most->cards < each.cards) most = &each;
  };
  for (const Case& each : cases) {
    if (!has(each)) continue;
    put(by_series[each.model][each.series], each);
    put(by_mode[each.model][each.mode], each);
  }
  std::vector<const Case*> largest;
  for (const Case& each : cases) {
    const bool many = by_series[each.model].size() > kMost;
    const Case* chosen =
        many ? by_mode[each.model][each.mode] : by_series[each.model][each.series];
    if (chosen == &each) largest.push_back(&each);
  }
  return largest;
}

}  // namespace lockstep::charts
