// A script that knows nothing of our code (overlap.py) recomputes from a trace what the
// report says of the same steps: how long collectives were under way, how much of it
// was waited for, and what share of it was hidden. And it finds a trace that is wrong.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/program_run.h"

namespace lockstep {
namespace {

using nlohmann::json;

constexpr size_t kFirst = 3, kTraced = 3;  // steps 3 to 5

struct Answer {
  int status = 0;
  std::string err;
  json figures;
};

Answer overlap(const std::vector<std::string>& traces) {
  launch::Command command;
  command.argv = std::vector<std::string>{std::getenv("LOCKSTEP_PYTHON"),
                                          std::getenv("LOCKSTEP_SOURCE") +
                                              std::string("/tests/overlap.py")} +
                 traces;
  command.out = command.err = launch::Output::kCapture;
  launch::Process process(command);
  Answer answer{process.wait().code, process.err(), {}};
  if (answer.status == 0) answer.figures = json::parse(process.out());
  return answer;
}

struct Traced {
  TestFolder folder;
  json report;  // the slowest rank's times
  std::vector<std::string> traces() const {
    return {folder / "t.json", folder / "t.rank1.json"};
  }
};

// Each reducer's run is made once. Ten parameters, and as many messages.
const Traced& traced(const std::string& reducer) {
  static std::map<std::string, Traced> made;
  const auto [run, is_new] = made.try_emplace(reducer);
  if (!is_new) return run->second;
  const TestFolder& folder = run->second.folder;
  ProgramRun ddp("ddp", {"--gpus",
                         "2",
                         "--threads-per-card",
                         "1",
                         "--model",
                         "convnet",
                         "--dataset",
                         "synthetic",
                         "--batch-size",
                         "4",
                         "--steps",
                         "8",
                         "--device",
                         "cpu",
                         "--backend",
                         "gloo",
                         "--reducer",
                         reducer,
                         "--quiet",
                         "--report-file",
                         folder / "r",
                         "--trace",
                         folder / "t.json",
                         "--bucket-cap-mb",
                         "0"});
  EXPECT_EQ(ddp.status(), 0) << ddp.process().err();
  run->second.report = json::parse(read_text(folder / "r"));
  return run->second;
}

// How many of a rank's steps have the report's figures. Both come of the same clock
// readings where collectives are concerned. A stage's range is begun and ended next to
// the meter's marks, microseconds apart: 0.1 ms and 2 % leave room for a thread that
// loses its core there.
size_t steps_that_agree(const json& of_rank, const json& report) {
  size_t agree = 0;
  for (size_t i = 0; i < kTraced; ++i) {
    const json& step = of_rank.at(i);
    EXPECT_EQ(step.at("step"), kFirst + i);
    const double comm = report.at("phases_ms").at("comm").at(kFirst + i);
    const double exposed = report.at("phases_ms").at("exposed_comm").at(kFirst + i);
    const double share = std::max(0.0, 1 - exposed / comm);
    const bool equal =
        std::abs(step.at("comm_ms").get<double>() - comm) <= 0.01 &&
        std::abs(step.at("exposed_ms").get<double>() - exposed) <=
            0.1 + 0.02 * exposed &&
        std::abs(step.at("overlap").get<double>() - share) <= 0.1 / comm + 0.02;
    if (equal) ++agree;
  }
  return agree;
}

size_t best_rank(const json& figures, const json& report) {
  EXPECT_EQ(figures.size(), 2U);
  return std::max(steps_that_agree(figures.at("card 0"), report),
                  steps_that_agree(figures.at("card 1"), report));
}

double sum(const json& figures, const std::string& key) {
  double all = 0;
  for (const json& rank : figures) {
    for (const json& step : rank) all += step.at(key).get<double>();
  }
  return all;
}

class Overlap : public testing::TestWithParam<std::string> {};

TEST_P(Overlap, OfTheTraceIsTheReports) {
  const Traced& run = traced(GetParam());
  const Answer answer = overlap(run.traces());
  ASSERT_EQ(answer.status, 0) << answer.err;
  EXPECT_GE(best_rank(answer.figures, run.report), kTraced - 1)
      << answer.figures.dump(1) << run.report.at("phases_ms").dump();
  EXPECT_GT(sum(answer.figures, "comm_ms"), 0);
  if (GetParam() == "bucketed") {
    EXPECT_GT(sum(answer.figures, "hidden_ms"), 0);
  } else {
    EXPECT_LE(sum(answer.figures, "hidden_ms"), 0.01 * sum(answer.figures, "comm_ms"));
    EXPECT_EQ(sum(answer.figures, "overlap"), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Reducers, Overlap,
                         testing::Values("naive", "flat", "bucketed"),
                         [](const auto& info) { return info.param; });

json& event_like(json& trace, const std::string& category, const std::string& name) {
  for (json& event : trace.at("traceEvents")) {
    if (event.value("cat", "") == category && event.at("name") == name) return event;
  }
  throw std::runtime_error("no " + name);
}

// Ranges of the right form that are not what happened.
TEST(OverlapScript, HasOtherFiguresWhereARangeIsWrong) {
  const Traced& run = traced("naive");
  const TestFolder folder;
  std::vector<std::string> files;
  for (const std::string& path : run.traces()) {
    json trace = json::parse(read_text(path));
    for (json& event : trace.at("traceEvents")) {
      if (event.value("cat", "") != "collective") continue;
      event["dur"] = event.at("dur").get<double>() / 2;
    }
    files.push_back(folder / std::to_string(files.size()));
    write_text(files.back(), trace.dump());
  }
  const Answer answer = overlap(files);
  ASSERT_EQ(answer.status, 0) << answer.err;
  EXPECT_EQ(best_rank(answer.figures, run.report), 0U);
}

TEST(OverlapScript, RefusesWhatIsNoTrace) {
  const json whole = json::parse(read_text(traced("naive").traces()[0]));
  const auto collective = [](json& trace) -> json& {
    return event_like(trace, "collective", "all_reduce 3");
  };
  const std::vector<std::pair<std::string, std::function<void(json&)>>> faults = {
      {"ts is None", [&](json& t) { collective(t).erase("ts"); }},
      {"dur is '5', no number", [&](json& t) { collective(t)["dur"] = "5"; }},
      {"dur -1", [&](json& t) { collective(t)["dur"] = -1; }},
      {"pid is None", [&](json& t) { collective(t).erase("pid"); }},
      {"ph 'Y' is none", [&](json& t) { collective(t)["ph"] = "Y"; }},
      {"no cat", [&](json& t) { collective(t).erase("cat"); }},
      {"is no collective", [&](json& t) { collective(t)["name"] = "all_redoce 3"; }},
      {"has no name", [&](json& t) { collective(t)["tid"] = 7; }},
      {"ends after 'all_reduce 3', in which it began",
       [&](json& t) {
         const double next = event_like(t, "collective", "all_reduce 4").at("ts");
         collective(t)["dur"] = next + 1 - collective(t).at("ts").get<double>();
       }},
      {"is in no step", [&](json& t) { collective(t)["ts"] = 1; }},
      {"is no stage",
       [&](json& t) { event_like(t, "user_annotation", "backward")["name"] = "back"; }},
      {"no traceEvents", [](json& t) { t.erase("traceEvents"); }},
      {"no lane of a card with steps",
       [](json& t) { t["traceEvents"] = json::array(); }},
  };
  const TestFolder folder;
  for (const auto& [words, plant] : faults) {
    json trace = whole;
    plant(trace);
    write_text(folder / "t", trace.dump());
    const Answer answer = overlap({folder / "t"});
    EXPECT_EQ(answer.status, 1) << words;
    EXPECT_NE(answer.err.find(words), std::string::npos) << answer.err << words;
  }
  EXPECT_EQ(overlap({traced("naive").traces()[0]}).status, 0) << "unharmed";
}

}  // namespace
}  // namespace lockstep
