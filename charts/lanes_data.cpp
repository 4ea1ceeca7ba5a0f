// The records of the chart of one step in time. A panel is a case; a card has a lane
// for what it computes and one for what it communicates.
#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "charts/charts.h"
#include "charts/words.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;
using rows::StepLanesRow;

constexpr size_t kMostLanes = 8;
constexpr size_t kMostSpans = 240;  // of a panel; the shortest are left out

// The phases' colours where a span is a phase; whatever else moves or waits for bytes
// is communication.
std::string kind_of(const std::string& name, bool communicates) {
  for (const char* phase : {"data", "forward", "backward", "optimizer"}) {
    if (name.rfind(phase, 0) == 0) return phase;
  }
  if (name == "loss") return "forward";
  // On a computing lane a card that moves bytes, or waits for them, computes nothing.
  for (const char* stage :
       {"exposed", "scatter", "replicate", "gather", "reduce", "finalize", "wait"}) {
    if (!communicates && name.rfind(stage, 0) == 0) return "exposed communication";
  }
  return communicates ? "communication" : "other";
}

bool communicates(const std::string& lane) {
  return lane.find("communication") != std::string::npos;
}

struct Span {
  size_t index;
  int depth;  // how many spans of its lane it lies in
  double length;
};

std::vector<Span> spans_of(const StepLanesRow& step, int lane) {
  std::vector<Span> spans;
  for (size_t i = 0; i < step.lane.size(); ++i) {
    if (step.lane[i] == lane && step.end_ms[i] > step.begin_ms[i]) {
      spans.push_back({i, 0, step.end_ms[i] - step.begin_ms[i]});
    }
  }
  // Outer spans first: they are drawn first, too.
  std::stable_sort(spans.begin(), spans.end(), [&step](const Span& a, const Span& b) {
    const double first = step.begin_ms[a.index], second = step.begin_ms[b.index];
    return first != second ? first < second : a.length > b.length;
  });
  std::vector<double> open;  // ends of the spans that the next one may lie in
  for (Span& span : spans) {
    while (!open.empty() && open.back() <= step.begin_ms[span.index]) open.pop_back();
    span.depth = static_cast<int>(open.size());
    open.push_back(step.end_ms[span.index]);
  }
  return spans;
}

// Cards in pairs of lanes: of many the first ones and the last.
std::vector<int> lanes_shown(const StepLanesRow& step) {
  std::vector<int> lanes;
  for (size_t i = 0; i < step.lanes.size(); ++i) lanes.push_back(static_cast<int>(i));
  if (lanes.size() > kMostLanes) {
    lanes.erase(lanes.begin() + kMostLanes - 2, lanes.end() - 2);
  }
  return lanes;
}

// "all_reduce 3" as "3": a bucket's bar has room for its number.
std::string label_of(const std::string& name, const std::string& kind, double share) {
  constexpr double kLetters = 125;  // that a whole step has room for
  const auto last = name.find_last_of(' ');
  const bool numbered =
      last != std::string::npos && last + 1 < name.size() &&
      name.find_first_not_of("0123456789", last + 1) == std::string::npos;
  const std::string label =
      kind == "communication" && numbered ? name.substr(last + 1) : spaced(name);
  return share * kLetters > static_cast<double>(label.size()) + 1 ? label : "";
}

void add_panel(json& data, const Case& each, const StepLanesRow& step) {
  double end_ms = 0;
  for (const double end : step.end_ms) end_ms = std::max(end_ms, end);
  std::vector<Span> spans;
  for (const int lane : lanes_shown(step)) {
    for (const Span& span : spans_of(step, lane)) spans.push_back(span);
  }
  if (spans.size() > kMostSpans) {
    std::vector<double> lengths;
    for (const Span& span : spans) lengths.push_back(span.length);
    std::nth_element(lengths.begin(), lengths.begin() + kMostSpans, lengths.end(),
                     std::greater<>());
    const double shortest = lengths[kMostSpans];
    std::erase_if(spans, [&](const Span& span) { return span.length <= shortest; });
  }
  for (const Span& span : spans) {
    const std::string& lane = step.lanes[static_cast<size_t>(step.lane[span.index])];
    const std::string& name = step.names[static_cast<size_t>(step.name[span.index])];
    const std::string kind = kind_of(name, communicates(lane));
    const double from = step.begin_ms[span.index], to = step.end_ms[span.index];
    data.push_back({{"kind", "span"},
                    {"id", each.id},
                    {"panel", each.model + " · " + name_of(each)},
                    {"lane", lane},
                    {"lane_order", step.lane[span.index]},
                    {"what", name},
                    {"phase", kind},
                    {"from_ms", rounded(from, 6)},
                    {"to_ms", rounded(to, 6)},
                    {"middle_ms", rounded((from + to) / 2, 6)},
                    {"ms", rounded(to - from, 6)},
                    {"size", std::max(6, 18 - 5 * span.depth)},
                    {"label", label_of(name, kind, (to - from) / end_ms)}});
  }
}

// The lanes stand in one row of the case.
const StepLanesRow* recorded_step(const Case& each) {
  for (const Row* row : each.ok) {
    if (row->step_lanes && !row->step_lanes->lane.empty()) return &*row->step_lanes;
  }
  return nullptr;
}

}  // namespace

json lanes_data(const std::vector<Case>& cases) {
  json data = json::array();
  for (const Case* each : largest_cases(cases, recorded_step)) {
    add_panel(data, *each, *recorded_step(*each));
  }
  return data;
}

}  // namespace lockstep::charts
