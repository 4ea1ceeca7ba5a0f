// The records of the charts of throughput, phases and losses: the fields are those that
// specs/*.vl.json name.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "charts/charts.h"
#include "charts/words.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;

// Marks of different series fall on one another where all is well: the first series is
// drawn largest and lowest (0), the last smallest and on top (2), so that each still
// shows.
size_t layer_of(const Case& each, const std::vector<std::string>& series) {
  const auto place = std::find(series.begin(), series.end(), each.series);
  return std::min<size_t>(place - series.begin(), 2);
}

}  // namespace

json record_of(const Case& each) {
  return {{"kind", "total"},   {"id", each.id},         {"model", each.model},
          {"mode", each.mode}, {"series", each.series}, {"case", name_of(each)},
          {"order", each.id}};
}

json throughput_data(const std::vector<Case>& cases) {
  json data = json::array();
  const std::vector<std::string> series = series_of(cases);
  std::set<size_t> baselines;
  for (const Case& each : cases) {
    if (!each.samples_per_second) continue;
    if (each.baseline) baselines.insert(*each.baseline);
    json point = {{"kind", "measured"},
                  {"id", each.id},
                  {"model", each.model},
                  {"mode", each.mode},
                  {"series", each.series},
                  {"line", each.series},
                  {"cards", each.cards},
                  {"value", each.samples_per_second->median},
                  {"low", each.samples_per_second->low},
                  {"high", each.samples_per_second->high},
                  {"repetitions", each.ok.size()},
                  {"size", layer_of(each, series) == 0   ? 230
                           : layer_of(each, series) == 1 ? 140
                                                         : 65},
                  {"speed_up_text", "no one-card case"},
                  {"efficiency_text", "no one-card case"}};
    if (each.speed_up) {
      point["speed_up_text"] = fixed(*each.speed_up, 2) + " ×";
      point["efficiency_text"] = fixed(100 * *each.scaling_efficiency, 0) + " %";
    }
    data.push_back(point);
  }
  // Every baseline's line runs through the card counts measured against it.
  for (size_t baseline : baselines) {
    std::set<int> counts;
    for (const Case& each : cases) {
      if (each.baseline == baseline) counts.insert(each.cards);
    }
    if (counts.size() < 2) continue;
    for (int cards : counts) {
      const double one_card = cases[baseline].samples_per_second->median;
      data.push_back({{"kind", "ideal"},
                      {"model", cases[baseline].model},
                      {"baseline", cases[baseline].series},
                      {"cards", cards},
                      {"value", one_card * cards},
                      {"room", 1.06 * one_card * cards},
                      {"last", cards == *counts.rbegin()}});
    }
  }
  return data;
}

json phases_data(const std::vector<Case>& cases) {
  const std::vector<std::pair<std::string, std::string>> phases = {
      {"data", "data"},
      {"forward", "forward"},
      {"backward", "backward"},
      {"exposed_comm", "exposed communication"},
      {"optimizer", "optimizer"},
      {"graph", "not attributed"}};  // a CUDA graph's, whole
  json data = json::array();
  std::map<std::string, double> longest;
  int order = 0;
  for (const Case& each : cases) {
    if (!each.typical) continue;
    std::vector<std::pair<std::string, double>> stack;
    double total = 0;
    for (const auto& [key, shown] : phases) {
      const double ms = mean_phase_ms(*each.typical, key).value_or(0);
      if (ms > 0) stack.emplace_back(shown, ms);
      total += ms;
    }
    if (total <= 0) continue;
    longest[each.model] = std::max(longest[each.model], total);
    const json shared = {{"id", each.id},
                         {"model", each.model},
                         {"case", name_of(each)},
                         {"order", order++},
                         {"total_ms", total}};
    double low = 0;
    for (const auto& [phase, ms] : stack) {
      json segment = shared;
      segment.update({{"kind", "segment"},
                      {"phase", phase},
                      {"ms", rounded(ms, 5)},
                      {"share", rounded(ms / total, 4)},
                      {"low", low},
                      {"high", low + ms},
                      {"label", ""}});
      low += ms;
      data.push_back(segment);
    }
    json label = shared;
    // A bar of no width: a chart's layers share one data set, so its records are alike.
    label.update({{"kind", "total"},
                  {"phase", stack.back().first},
                  {"low", total},
                  {"high", total},
                  {"label", short_number(total) + " ms"}});
    data.push_back(label);
  }
  for (json& entry : data) {
    // Room for the label behind the longest bar.
    entry["room"] = 1.22 * longest[entry["model"].get<std::string>()];
  }
  return data;
}

json losses_data(const std::vector<Case>& cases) {
  // A longer run is thinned evenly: a chart has no more columns than that, a page no
  // room.
  const size_t points =
      std::clamp<size_t>(2400 / std::max<size_t>(cases.size(), 1), 24, 300);
  const std::vector<std::string> series = series_of(cases);
  json data = json::array();
  for (const Case& each : cases) {
    if (!each.typical) continue;
    const Row& row = *each.typical;
    const size_t stride = row.losses.size() / points + 1;
    const size_t layer = layer_of(each, series);
    for (size_t i = 0; i < row.losses.size(); ++i) {
      if (!std::isfinite(row.losses[i])) continue;
      if (i % stride != 0 && i + 1 != row.losses.size()) continue;
      data.push_back({{"id", each.id},
                      {"model", each.model},
                      {"mode", each.mode},
                      {"series", each.series},
                      {"case", name_of(each)},
                      {"cards_label", count_of(each.cards, "card")},
                      {"step", i + 1},
                      {"samples", (i + 1) * row.global_batch},
                      {"loss", rounded(row.losses[i], 6)},
                      {"width", layer == 0   ? 7.5
                                : layer == 1 ? 4.8
                                             : 1.5},
                      {"opacity", layer == 0   ? 0.35
                                  : layer == 1 ? 0.75
                                               : 1.0}});
    }
  }
  return data;
}

}  // namespace lockstep::charts
