#include "buckets/merged_trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/run_times.h"

namespace lockstep::buckets {
namespace {

using nlohmann::json;

std::vector<json> events_of(const MergedTrace& trace, const std::string& name) {
  std::vector<json> found;
  const json whole = json::parse(trace.json);
  for (const json& event : whole.at("traceEvents")) {
    if (event.at("name") == name) found.push_back(event);
  }
  return found;
}

TEST(MergedTrace, HasEveryRankStepAndBucketOnOneClock) {
  timing::RunTimes run = made_up({.ranks = 3, .steps = 5, .hosts = 3});
  for (timing::StepTimes& step : run.steps) {  // before zero, as clocks can show it
    step.begin_us -= 5000;
  }
  const MergedTrace trace = merged_trace(run, 2);
  EXPECT_EQ(trace.steps, 5);
  const auto processes = events_of(trace, "process_name");
  ASSERT_EQ(processes.size(), 3U);
  EXPECT_EQ(processes[1].at("args").at("name"), "rank 1, host b");
  EXPECT_EQ(processes[1].at("pid"), 1);
  for (const char* name : {"step 3", "step 4"}) {
    EXPECT_EQ(events_of(trace, name).size(), 3U);
  }
  for (const char* name : {"forward", "backward", "exposed_comm", "optimizer"}) {
    EXPECT_EQ(events_of(trace, name).size(), 15U) << name;
  }
  const auto collectives = events_of(trace, "all_reduce 3");
  const auto ready = events_of(trace, "ready 3");
  ASSERT_EQ(collectives.size(), 15U);
  ASSERT_EQ(ready.size(), 15U);
  // By rank, as the lines are by step.
  for (size_t i = 0; i < run.steps.size(); ++i) {
    const timing::StepTimes& step = run.steps[i];
    const size_t at = static_cast<size_t>(step.rank) * 5 + i / 3;
    EXPECT_EQ(collectives[at].at("pid"), step.rank);
    EXPECT_EQ(collectives[at].at("args").at("bytes"), 1 << 20);
    EXPECT_NEAR(collectives[at].at("dur"),
                step.buckets[3].finish_us - step.buckets[3].launch_us, 1e-6);
    EXPECT_EQ(ready[at].at("ph"), "i");
    EXPECT_EQ(ready[at].at("ts"), collectives[at].at("ts")) << "launched when ready";
    EXPECT_GE(ready[at].at("ts").get<double>(), 0);
  }
}

TEST(MergedTrace, CollectivesUnderWayAtOnceHaveLanesOfTheirOwn) {
  timing::RunTimes run = made_up({.ranks = 2, .steps = 2, .collective_us = 4000});
  std::set<std::string> lanes;
  for (const json& lane : events_of(merged_trace(run, 0), "thread_name")) {
    lanes.insert(lane.at("args").at("name"));
  }
  EXPECT_TRUE(lanes.contains("card 1 communication"));
  EXPECT_TRUE(lanes.contains("card 1 communication 2"));
}

TEST(MergedTrace, OfABigRunHoldsTheStepsAroundTheMiddle) {
  const timing::RunTimes run = made_up({.ranks = 2, .steps = 100});
  const MergedTrace trace = merged_trace(run, 57, /*most_events=*/26 * 11);
  EXPECT_EQ(trace.steps, 11);
  EXPECT_EQ(trace.first_step, 52);
  EXPECT_EQ(trace.last_step, 62);
  EXPECT_EQ(trace.of_steps, 100);
  EXPECT_EQ(events_of(trace, "step 52").size(), 2U);
  EXPECT_EQ(events_of(trace, "step 51").size(), 0U);
  EXPECT_EQ(merged_trace(run, 99, 26 * 11).last_step, 99);
  EXPECT_EQ(merged_trace(run, 0, 1).steps, 1) << "one at least";
}

}  // namespace
}  // namespace lockstep::buckets
