#include "reports/charts.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "reports/words.h"

namespace lockstep::reports {
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

// Calls `change` on every object that encodes `field`.
void for_encodings(json& node, const std::string& field,
                   const std::function<void(json&)>& change) {
  if (node.is_object() && node.value("field", json()) == field) change(node);
  if (node.is_structured()) {
    for (json& child : node) for_encodings(child, field, change);
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

std::string first_word(const std::string& text) {
  return text.substr(0, text.find(' '));
}

// One model gets the room of two.
void fit_columns(json& spec, const json& data) {
  if (spec["columns"] != 2 || values_of(data, "model").size() > 1) return;
  spec["columns"] = 1;
  spec["spec"]["width"] = 2 * spec["spec"]["width"].get<int>() + 40;
}

// The phases' bars keep their thickness however many cases there are.
void fit_bars(json& spec, const json& data) {
  std::map<std::string, int> bars;
  int most = 0;
  for (const json& record : data) {
    if (record.value("kind", "") != "total") continue;
    most = std::max(most, ++bars[record["model"].get<std::string>()]);
  }
  if (most > 0) spec["spec"]["height"] = 30 * most;
}

// The memory chart grows with its bars, up to a width: 30 pixels a place.
void fit_places(json& spec, const json& data) {
  double places = 0;
  for (const json& record : data) {
    if (record.value("kind", "") == "headroom") {
      places = std::max(places, record["right"].get<double>());
    }
  }
  const int width = static_cast<int>(std::min(30 * places, 2400.0));
  if (width > spec["spec"]["width"].get<int>()) spec["spec"]["width"] = width;
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

}  // namespace

void fit_scale(json& spec, const std::string& field,
               const std::vector<std::string>& present) {
  const std::vector<std::string> spare = {"#cc79a7", "#56b4e9", "#d55e00", "#8c6d31",
                                          "#6a51a3", "#7fd1b9", "#b8b000", "#843c39"};
  for_encodings(spec, field, [&](json& encoding) {
    if (!encoding.contains("scale") || !encoding["scale"].contains("domain")) return;
    json& scale = encoding["scale"];
    std::map<std::string, std::string> known;
    json domain = json::array(), range = json::array();
    std::set<std::string> used;
    for (size_t i = 0; i < scale["domain"].size(); ++i) {
      const std::string name = scale["domain"][i].get<std::string>();
      known[name] = scale["range"][i].get<std::string>();
      if (std::find(present.begin(), present.end(), name) == present.end()) continue;
      domain.push_back(name);
      range.push_back(known[name]);
      used.insert(name);
    }
    size_t next = 0;
    for (const std::string& name : present) {
      if (known.count(name) > 0) continue;
      // The first variant of a mode keeps the mode's colour: "ddp reducer=flat" that of
      // "ddp".
      const std::string mode = first_word(name);
      const bool heir = known.count(mode) > 0 && used.insert(mode).second;
      domain.push_back(name);
      range.push_back(heir ? known[mode] : spare[next++ % spare.size()]);
    }
    scale["domain"] = domain;
    scale["range"] = range;
  });
}

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

std::vector<Chart> make_charts(const std::vector<Case>& cases,
                               const std::filesystem::path& folder) {
  using Maker = json (*)(const std::vector<Case>&);
  const std::vector<std::pair<std::string, Maker>> makers = {
      {"throughput", throughput_data},
      {"memory", memory_data},
      {"timeline", timeline_data},
      {"phases", phases_data},
      {"losses", losses_data}};
  const json style = read_json(folder / "style.json");
  std::vector<Chart> charts;
  for (const auto& [name, make] : makers) {
    json spec = read_json(folder / (name + ".vl.json"));
    const json data = make(cases);
    spec["config"] = style;
    spec["datasets"][name] = data;
    for (const std::string& note : card_notes(cases)) {
      spec["title"]["subtitle"].push_back(note);
    }
    // From all cases, not from this chart's own: a mode has one colour on the whole
    // page.
    fit_scale(spec, "series", series_of(cases));
    fit_scale(spec, "category", values_of(data, "category"));
    fit_scale(spec, "phase", values_of(data, "phase"));
    fit_card_ticks(spec, data);
    const bool by_model = spec["facet"]["field"] == "model";
    spec["facet"]["sort"] = by_model ? models_of(cases) : values_of(data, "panel");
    fit_columns(spec, data);
    fit_bars(spec, data);
    fit_places(spec, data);
    charts.push_back({name, spec.dump(-1, ' ', false, json::error_handler_t::replace),
                      data.empty()});
  }
  return charts;
}

}  // namespace lockstep::reports
