#include "gantt/pictures.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "program/formatted.h"
#include "reports/drawing.h"
#include "reports/publish.h"

namespace lockstep::gantt {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using program::formatted;
using simulator::Span;

constexpr double kWidth = 760;    // of the step's picture, in pixels
constexpr double kOfALetter = 5;  // of a label

double milliseconds(double seconds) { return 1e3 * seconds; }

// The longest of the texts that fits; the last may be empty.
std::string fitting(const std::vector<std::string>& texts, double pixels) {
  for (const std::string& text : texts) {
    if (kOfALetter * static_cast<double>(text.size()) <= pixels - 4) return text;
  }
  return "";
}

std::string mib(int64_t bytes) {
  return formatted("%.2g MiB", static_cast<double>(bytes) / (1 << 20));
}

// The bars of one panel.
class Panel {
 public:
  Panel(const TimedStep& step, double longest_s, int lanes)
      : step_(step), longest_s_(longest_s), lanes_(std::min(lanes, step.cards)) {}

  void add_to(json& records) const {
    std::map<int, double> free_s;  // since then a card computes nothing
    std::map<int, int> collectives;
    for (const Span& span : step_.spans) {
      if (span.rank >= lanes_) continue;
      if (span.lane == Span::Lane::compute) {
        add_wait(records, span.rank, free_s[span.rank], span.begin_s);
        const bool forward = span.name.starts_with("forward");
        records.push_back(bar(span.rank, "computes", forward ? "forward" : "backward",
                              span.begin_s, span.end_s,
                              {span.name.substr(span.name.rfind(' ') + 1)}));
        free_s[span.rank] = span.end_s;
        continue;
      }
      const std::string size = " · " + mib(span.bytes);
      const std::string what =
          span.name.empty() ? "#" + std::to_string(collectives[span.rank]) : span.name;
      ++collectives[span.rank];
      json record = bar(span.rank, "communicates", "communication", span.begin_s,
                        span.end_s, {what + size, what});
      record["launched_ms"] = milliseconds(span.launched_s);
      records.push_back(std::move(record));
    }
    for (const auto& [rank, since_s] : free_s) {
      add_wait(records, rank, since_s, step_.seconds);
    }
  }

 private:
  // At the end, or where a hook holds up the backward pass.
  void add_wait(json& records, int rank, double begin_s, double end_s) const {
    if (end_s - begin_s < 1e-9) return;
    records.push_back(
        bar(rank, "computes", "exposed communication", begin_s, end_s, {"waits"}));
  }

  json bar(int rank, const char* does, const char* phase, double begin_s, double end_s,
           const std::vector<std::string>& labels) const {
    const bool computes = std::string(does) == "computes";
    const double pixels = kWidth * (end_s - begin_s) / longest_s_;
    return {{"panel", formatted("%s: a step of %.1f ms, of it %.1f ms exposed",
                                step_.reducer.c_str(), milliseconds(step_.seconds),
                                milliseconds(step_.exposed_s))},
            {"lane", "card " + std::to_string(rank) + " " + does},
            {"lane_order", 2 * rank + (computes ? 0 : 1)},
            {"phase", phase},
            {"from_ms", milliseconds(begin_s)},
            {"to_ms", milliseconds(end_s)},
            {"middle_ms", milliseconds((begin_s + end_s) / 2)},
            {"label", fitting(labels, pixels)}};
  }

  const TimedStep& step_;
  const double longest_s_;
  const int lanes_;
};

charts::Chart chart_of(const std::string& name, const json& records,
                       const std::vector<std::string>& notes) {
  const fs::path tree = reports::source_tree();
  const fs::path specification = tree / "gantt/specs" / (name + ".vl.json");
  json spec = json::parse(reports::read_file(specification));
  spec["config"] = json::parse(reports::read_file(tree / "charts/specs/style.json"));
  spec["datasets"][name] = records;
  std::vector<std::string> reducers;
  for (const json& record : records) {
    if (!record.contains("reducer")) continue;
    const std::string reducer = record["reducer"];
    if (reducers.empty() || reducers.back() != reducer) reducers.push_back(reducer);
  }
  charts::fit_scale(spec, "reducer", reducers);
  for (const std::string& note : notes) spec["title"]["subtitle"].push_back(note);
  charts::Chart chart;
  chart.name = name;
  chart.spec = chart.page_spec = spec.dump();
  return chart;
}

}  // namespace

charts::Chart step_chart(const std::vector<TimedStep>& steps, int lanes,
                         const std::vector<std::string>& notes) {
  double longest_s = 0;
  for (const TimedStep& step : steps) longest_s = std::max(longest_s, step.seconds);
  json records = json::array();
  for (const TimedStep& step : steps) Panel(step, longest_s, lanes).add_to(records);
  return chart_of("step", records, notes);
}

double efficiency_of(const TimedStep& step, const std::vector<TimedStep>& all) {
  for (const TimedStep& one : all) {
    if (one.reducer == step.reducer && one.cards == 1)
      return one.seconds / step.seconds;
  }
  return 0;
}

charts::Chart efficiency_chart(const std::vector<TimedStep>& steps,
                               const std::vector<std::string>& notes) {
  json records = json::array();
  for (size_t i = steps.size(); i-- > 0;) {  // the first reducer on top
    records.push_back({{"reducer", steps[i].reducer},
                       {"cards", steps[i].cards},
                       {"efficiency", efficiency_of(steps[i], steps)}});
  }
  return chart_of("efficiency", records, notes);
}

void draw_into(const fs::path& folder, const std::vector<charts::Chart>& charts) {
  const reports::ScratchFolder scratch(folder);
  reports::draw(charts, scratch.path());
  for (const charts::Chart& chart : charts) {
    for (const char* kind : {".svg", ".png"}) {
      reports::move_into_place(scratch.path() / (chart.name + kind),
                               folder / (chart.name + kind));
    }
  }
}

}  // namespace lockstep::gantt
