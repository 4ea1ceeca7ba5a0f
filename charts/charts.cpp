#include "charts/charts.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "charts/words.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    throw std::runtime_error(path.string() +
                             ": this chart specification cannot be opened; it belongs "
                             "to the source tree this program was built from");
  }
  try {
    return json::parse(file);
  } catch (const json::parse_error& error) {
    throw std::runtime_error(path.string() + ": not valid JSON at byte " +
                             std::to_string(error.byte));
  }
}

std::vector<std::string> values_of(const json& data, const std::string& field) {
  std::vector<std::string> values;
  for (const json& record : data) {
    if (!record.contains(field)) continue;
    const std::string value = record[field].get<std::string>();
    if (std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(value);
    }
  }
  return values;
}

// One panel gets the room of two.
void fit_columns(json& spec, const json& data) {
  const std::string panels = spec["facet"]["field"].get<std::string>();
  if (spec["columns"] != 2 || values_of(data, panels).size() > 1) return;
  spec["columns"] = 1;
  spec["spec"]["width"] = 2 * spec["spec"]["width"].get<int>() + 40;
}

// The memory chart is as wide as its bars want: a place of 36 pixels each, 30 where
// they are many.
void fit_places(json& spec, const json& data) {
  double places = 0;
  for (const json& record : data) {
    if (record.value("kind", "") == "headroom") {
      places = std::max(places, record["right"].get<double>());
    }
  }
  if (places > 0) {
    spec["spec"]["width"] = static_cast<int>(
        std::clamp(36 * places, 260.0, std::clamp(30 * places, 860.0, 2400.0)));
  }
}

// Ticks stand at the numbers of cards that were measured, and nowhere else.
void fit_card_ticks(json& spec, const json& data) {
  std::set<int> counts;
  for (const json& record : data) {
    if (record.contains("cards")) counts.insert(record["cards"].get<int>());
  }
  for_encodings(spec, "cards", [&counts](json& encoding) {
    if (encoding.contains("axis")) encoding["axis"]["values"] = counts;
  });
}

// Where series are too many to be told apart by colour, a line's colour is its mode's.
void colour_by_mode(json& spec) {
  for_encodings(spec, "series", [](json& encoding) {
    const bool words = encoding.contains("title") && encoding["title"].is_string();
    if (!words) encoding["field"] = "mode";
  });
}

void theme(json& node) {
  if (node.is_string()) node = themed_colour(node.get<std::string>());
  if (!node.is_structured()) return;
  for (json& child : node) theme(child);
}

std::string text_of(const json& spec) {
  return spec.dump(-1, ' ', false, json::error_handler_t::replace);
}

Chart finished(const std::string& name, json spec, const json& records,
               const std::vector<std::string>& notes) {
  Chart chart;
  chart.name = name;
  chart.empty = records.empty();
  chart.caption = spec["usermeta"]["caption"].get<std::string>();
  spec["usermeta"].erase("caption");
  for (const std::string& note : notes) spec["title"]["subtitle"].push_back(note);
  chart.title = spec["title"]["text"].get<std::string>();
  chart.subtitle = spec["title"]["subtitle"].get<std::vector<std::string>>();
  json page = spec;
  page.erase("title");
  page["config"]["background"] = nullptr;
  theme(page);
  page["datasets"][name] = records;
  spec["datasets"][name] = records;
  chart.spec = text_of(spec);
  chart.page_spec = text_of(page);
  return chart;
}

}  // namespace

std::vector<std::string> card_notes(const std::vector<Case>& cases) {
  std::vector<std::string> notes;
  for (const Case& each : cases) {
    if (!each.typical) continue;
    const Row& row = *each.typical;
    const std::string cpu = row.machine.cpu.empty() ? "unnamed" : row.machine.cpu;
    std::string note = "Cards: " + cpu + ".";
    if (has_flag(row, "emulated")) {
      note = "Emulated cards: " + count_of(row.threads_per_card, "thread") +
             " each, on " + cpu + ".";
    }
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) {
      notes.push_back(note);
    }
  }
  return notes;
}

std::vector<ChartData> run_chart_data(
    const std::vector<Case>& cases, const std::vector<CollectiveFigure>& collectives) {
  const std::vector<Case> shown = shown_cases(cases);
  return {{"throughput", throughput_data(cases)},
          {"memory", memory_data(shown)},
          {"timeline", timeline_data(shown)},
          {"phases", phases_data(shown)},
          {"lanes", lanes_data(shown)},
          {"overlap", overlap_data(shown)},
          {"caps", caps_data(cases)},
          {"busbw", busbw_data(collectives)},
          {"predicted", predicted_data(shown)},
          {"losses", losses_data(shown)}};
}

std::vector<Chart> make_charts(const std::vector<ChartData>& data,
                               const std::vector<Case>& cases,
                               const std::filesystem::path& folder) {
  constexpr size_t kMostColours = 9;
  const json style = read_json(folder / "style.json");
  std::vector<Chart> charts;
  for (const auto& [name, records] : data) {
    json spec = read_json(folder / (name + ".vl.json"));
    spec["config"] = style;
    if (series_of(cases).size() > kMostColours) colour_by_mode(spec);
    // From all cases, not from this chart's own: a mode has one colour on the whole
    // page.
    fit_scale(spec, "series", series_of(cases));
    fit_scale(spec, "mode", modes_of(cases));
    for (const char* field : {"category", "phase", "curve"}) {
      fit_scale(spec, field, values_of(records, field));
    }
    fit_card_ticks(spec, records);
    spec["facet"]["sort"] =
        values_of(records, spec["facet"]["field"].get<std::string>());
    fit_columns(spec, records);
    fit_places(spec, records);
    charts.push_back(finished(name, std::move(spec), records, card_notes(cases)));
  }
  return charts;
}

}  // namespace lockstep::charts
