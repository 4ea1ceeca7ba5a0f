// `bench --step-lanes`: one step of every card in the rows, from the traces of a run.
#include "bench/step_lanes.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "rows/row.h"
#include "tests/error_of.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

using rows::Row;
using rows::StepLanesRow;

// A rank's trace of three steps of 100 us, which begin at `begin` us.
std::string trace(int rank, double begin) {
  const std::string pid = std::to_string(100 + rank);
  const auto name = [&](const std::string& tid, const std::string& lane) {
    return R"({"name": "thread_name", "ph": "M", "pid": )" + pid + R"(, "tid": )" +
           tid + R"(, "ts": 0, "args": {"name": ")" + lane + R"("}})";
  };
  std::string events = name("1", "card " + std::to_string(rank)) + "," +
                       name("2", "card " + std::to_string(rank) + " communication") +
                       "," + name("3", "pt_gloo_runloop");
  const auto add = [&](const std::string& tid, const std::string& cat,
                       const std::string& named, double from, double to) {
    events += R"(,{"ph": "X", "pid": )" + pid + R"(, "tid": )" + tid + R"(, "cat": ")" +
              cat + R"(", "name": ")" + named + R"(", "ts": )" +
              std::to_string(begin + from) + R"(, "dur": )" +
              std::to_string(to - from) + "}";
  };
  for (int step = 0; step < 3; ++step) {
    const double at = 100.0 * step;
    add("1", "user_annotation", "step " + std::to_string(step + 3), at, at + 90);
    add("1", "user_annotation", "forward", at + 10 + step, at + 30);
    add("1", "user_annotation", "backward", at + 30, at + 30.5);
    add("1", "cpu_op", "aten::add", at + 12, at + 15);
    add("2", "collective", "all_reduce 0", at + 20, at + 60);
    add("3", "user_annotation", "gloo:all_reduce", at + 25, at + 55);
  }
  return R"({"baseTimeNanoseconds": 1790000000000000000, "traceEvents": [)" + events +
         "]}";
}

TEST(StepLanes, AreTheMiddleStepSinceTheEarliestRanksBegan) {
  const StepLanesRow row = step_lanes_of({trace(0, 1007), trace(1, 1000)});
  EXPECT_EQ(row.lanes, (std::vector<std::string>{"card 0", "card 0 communication",
                                                 "card 1", "card 1 communication"}));
  EXPECT_EQ(row.names, (std::vector<std::string>{"forward", "all_reduce 0"}));
  EXPECT_EQ(row.lane, (std::vector<int>{2, 0, 3, 1}));
  EXPECT_EQ(row.name, (std::vector<int>{0, 0, 1, 1}));
  const std::vector<double> begin = {0.011, 0.018, 0.020, 0.027};
  const std::vector<double> end = {0.030, 0.037, 0.060, 0.067};
  ASSERT_EQ(row.begin_ms.size(), begin.size());
  for (size_t i = 0; i < begin.size(); ++i) {
    EXPECT_NEAR(row.begin_ms[i], begin[i], 1e-6) << i;
    EXPECT_NEAR(row.end_ms[i], end[i], 1e-6) << i;
  }
}

TEST(StepLanes, ATraceThatIsNoneIsAnError) {
  EXPECT_NE(error_of([] { step_lanes_of({}); }), "none");
  EXPECT_NE(error_of([] { step_lanes_of({"{}"}); }), "none");
  EXPECT_NE(error_of([] { step_lanes_of({R"({"traceEvents": []})"}); }), "none");
}

TEST(StepLanes, AreInTheRowsOfEachCase) {
  const TestFolder place;
  ProgramRun run("bench", {"--model",
                           "linear",
                           "--dataset",
                           "features100",
                           "--device",
                           "cpu",
                           "--mode",
                           "dp,ddp",
                           "--gpus",
                           "2",
                           "--steps",
                           "2",
                           "--warmup",
                           "0",
                           "--repetitions",
                           "1",
                           "--no-page",
                           "--step-lanes",
                           "--benchmark_filter=cards:2",
                           "--out",
                           place / "out"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
  std::map<std::string, StepLanesRow> steps;
  for (const Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    ASSERT_TRUE(row.step_lanes.has_value()) << row.name;
    steps[row.mode] = *row.step_lanes;
  }
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps["dp"].lanes, (std::vector<std::string>{"card 0", "card 1"}));
  EXPECT_EQ(steps["ddp"].lanes,
            (std::vector<std::string>{"card 0", "card 0 communication", "card 1",
                                      "card 1 communication"}));
  for (const auto& [mode, step] : steps) {
    SCOPED_TRACE(mode);
    EXPECT_LT(step.lane.size(), 100U) << "stages and collectives, no operators";
    std::map<std::string, std::set<std::string>> names;  // by lane
    for (size_t i = 0; i < step.lane.size(); ++i) {
      names[step.lanes[step.lane[i]]].insert(step.names[step.name[i]]);
      EXPECT_GE(step.begin_ms[i], 0);
    }
    EXPECT_EQ(names["card 0"].count("backward"), 1U);
    EXPECT_EQ(names["card 1"].count("backward"), 1U);
    if (mode == "dp") EXPECT_EQ(names["card 1"].count("scatter"), 1U);
    if (mode == "ddp") {
      EXPECT_EQ(names["card 1 communication"], (std::set<std::string>{"all_reduce 0"}));
    }
  }
}

}  // namespace
}  // namespace lockstep::bench
