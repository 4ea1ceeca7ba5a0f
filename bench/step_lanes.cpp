#include "bench/step_lanes.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>
#include <tuple>

#include "files/temporary_folder.h"
#include "tracing/trace.h"

namespace lockstep::bench {
namespace {

using nlohmann::json;

// Nanoseconds, for a wall clock's do not fit a double to the microsecond's parts.
struct Range {
  std::string lane, name;
  int64_t begin = 0, end = 0;
};

bool is_step(const Range& range) { return range.name.rfind("step ", 0) == 0; }

// What of one process's trace lies on lanes of cards, operators left out.
std::vector<Range> ranges_of(const std::string& text) {
  const json trace = json::parse(text);
  const auto base = trace.value("baseTimeNanoseconds", int64_t{0});
  const auto ns = [](const json& us) { return std::llround(us.get<double>() * 1e3); };
  std::map<std::string, std::string> lanes;
  const auto lane_of = [](const json& event) {
    return event.at("pid").dump() + "/" + event.at("tid").dump();
  };
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("name") != "thread_name") continue;
    const std::string name = event.at("args").at("name");
    if (name.rfind("card ", 0) == 0) lanes[lane_of(event)] = name;
  }
  std::vector<Range> ranges;
  for (const json& event : trace.at("traceEvents")) {
    const std::string category = event.value("cat", "");
    if (event.at("ph") != "X") continue;
    if (category != "user_annotation" && category != "collective") continue;
    const auto lane = lanes.find(lane_of(event));
    if (lane == lanes.end()) continue;
    const int64_t begin = base + ns(event.at("ts"));
    ranges.push_back(
        {lane->second, event.at("name"), begin, begin + ns(event.at("dur"))});
  }
  return ranges;
}

// That step of it which is traced as many times before as after.
Range middle_step(const std::vector<Range>& ranges) {
  std::vector<Range> steps;
  std::copy_if(ranges.begin(), ranges.end(), std::back_inserter(steps), is_step);
  if (steps.empty()) throw std::runtime_error("a trace without steps");
  std::sort(steps.begin(), steps.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  return steps[steps.size() / 2];
}

// Cards in their order, and after each its communication.
std::tuple<int, size_t, std::string> place_of(const std::string& lane) {
  return {std::stoi(lane.substr(5)), lane.size(), lane};
}

template <class Name>
int index_of(const std::vector<Name>& names, const Name& name) {
  return static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin());
}

rows::StepLanesRow run_traced(const Case& one, const Children& children) {
  constexpr int64_t kSteps = 6;  // three that warm up, and three that are traced
  const files::TemporaryFolder folder(files::temporary_place("--step-lanes"),
                                      "--step-lanes");
  const std::string first = folder.file("trace.json");
  children.run(one, {.steps = kSteps, .trace = first});
  std::vector<std::string> traces;
  for (int rank = 0;; ++rank) {
    const std::string path = tracing::trace_path(first, rank);
    if (!std::filesystem::exists(path)) break;
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    traces.push_back(text.str());
  }
  return step_lanes_of(traces);
}

}  // namespace

rows::StepLanesRow step_lanes_of(const std::vector<std::string>& traces) {
  constexpr int64_t kShortestNs = 1000;
  std::vector<Range> kept;
  std::vector<int64_t> begins;
  for (const std::string& text : traces) {
    const std::vector<Range> ranges = ranges_of(text);
    const Range step = middle_step(ranges);
    begins.push_back(step.begin);
    for (const Range& range : ranges) {
      const bool inside = step.begin <= range.begin && range.begin < step.end;
      if (!inside || is_step(range) || range.end - range.begin < kShortestNs) continue;
      kept.push_back(range);
    }
  }
  if (begins.empty()) throw std::runtime_error("it left no trace");
  const int64_t begin = *std::min_element(begins.begin(), begins.end());
  std::stable_sort(kept.begin(), kept.end(),
                   [](const Range& a, const Range& b) { return a.begin < b.begin; });

  rows::StepLanesRow row;
  const auto by_place = [](const std::string& a, const std::string& b) {
    return place_of(a) < place_of(b);
  };
  std::set<std::string, decltype(by_place)> lanes(by_place);
  for (const Range& range : kept) lanes.insert(range.lane);
  row.lanes.assign(lanes.begin(), lanes.end());
  const auto ms = [&](int64_t ns) { return static_cast<double>(ns - begin) / 1e6; };
  for (const Range& range : kept) {
    const int name = index_of(row.names, range.name);
    if (name == std::ssize(row.names)) row.names.push_back(range.name);
    row.lane.push_back(index_of(row.lanes, range.lane));
    row.name.push_back(name);
    row.begin_ms.push_back(ms(range.begin));
    row.end_ms.push_back(ms(range.end));
  }
  return row;
}

void record_step_lanes(const Plan& plan, const Children& children,
                       std::vector<rows::Row>& rows) {
  once_more(plan, rows, "step lanes", [&](const Case& one, rows::Row& row) {
    row.step_lanes = run_traced(one, children);
  });
}

}  // namespace lockstep::bench
