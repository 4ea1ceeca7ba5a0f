// `ddp --bucket-times FILE`: all ranks' steps in one file, and what is refused.
#include <gtest/gtest.h>

#include "ddp/reducers.h"
#include "tests/error_of.h"
#include "tests/possible_times.h"
#include "tests/program_run.h"
#include "tests/refused_input.h"
#include "timing/replay.h"
#include "training/report.h"

namespace lockstep::ddp {
namespace {

using timing::RunTimes;
using timing::StepTimes;

const std::vector<std::string> kSmall = {
    "--dataset", "synthetic", "--model",         "mlp", "--steps", "5",
    "--device",  "cpu",       "--bucket-cap-mb", "0.05"};

std::vector<StepTimes> step_of(const RunTimes& run, int64_t step) {
  std::vector<StepTimes> ranks;
  for (const StepTimes& one : run.steps) {
    if (one.step == step) ranks.push_back(one);
  }
  return ranks;
}

void expect_written(const std::vector<std::string>& more, int ranks,
                    const std::string& backend, bool overlap) {
  const TestFolder place;
  ProgramRun run("ddp",
                 kSmall + more +
                     std::vector<std::string>{"--bucket-times", place / "times",
                                              "--report-file", place / "report"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  const RunTimes times = timing::times_from_json_lines(read_text(place / "times"));
  const TrainReport report = training::report_from_json(read_text(place / "report"));
  EXPECT_EQ(times.world_size, ranks);
  EXPECT_EQ(times.run.at("backend"), backend);
  EXPECT_EQ(times.run.at("model"), "mlp");
  EXPECT_EQ(times.run.at("overlap"), overlap ? "yes" : "no");
  ASSERT_TRUE(report.ddp_logging_data.has_value());
  EXPECT_EQ(times.strs, report.ddp_logging_data->strs_map);
  EXPECT_EQ(times.ints, report.ddp_logging_data->ints_map);
  EXPECT_EQ(times.ints.at("rank"), 0);
  EXPECT_EQ(times.ints.at("iteration"), 4);
  ASSERT_EQ(std::ssize(times.steps), 5 * ranks);
  EXPECT_EQ(times.steps.front().begin_us, 0);
  double apart_us = 1;  // what is written is rounded
  for (const timing::ClockOffset& clock : times.clocks) {
    // One machine has one clock.
    EXPECT_LE(std::abs(clock.offset_us), clock.uncertainty_us);
    apart_us = std::max(apart_us, 1 + 2 * clock.uncertainty_us);
  }
  for (int64_t i = 0; i < 5; ++i) {
    const std::vector<StepTimes> of_all = step_of(times, i);
    ASSERT_EQ(std::ssize(of_all), ranks);
    for (const StepTimes& rank : of_all) timing::expect_possible(rank, overlap);
    timing::expect_together(of_all, apart_us);
  }
  EXPECT_EQ(timing::step_lengths(times, 1).steps, 3);
}

TEST(BucketTimesFile, HasAllRanksStepsOnOneClock) {
  expect_written({"--gpus", "2", "--backend", "gloo"}, 2, "gloo", true);
}
TEST(BucketTimesFile, OverShmWithoutOverlap) {
  expect_written({"--gpus", "2", "--no-overlap"}, 2, "shm", false);
}
TEST(BucketTimesFile, OfOneRank) {
  expect_written({"--gpus", "1", "--backend", "gloo"}, 1, "gloo", true);
}

TEST(BucketTimesFile, NeedsBucketsOfOurs) {
  TrainOptions options;
  options.device = "cpu";
  options.ddp.bucket_times_file = "somewhere";
  EXPECT_NO_THROW(check_reducer(options));
  for (const std::string reducer : {"naive", "flat", "c10d"}) {
    options.ddp.reducer = reducer;
    const std::string error = error_of([&] { check_reducer(options); });
    for (const std::string& word :
         {std::string("--bucket-times"), reducer, std::string("--reducer bucketed")}) {
      EXPECT_NE(error.find(word), std::string::npos) << error;
    }
  }
  options.ddp.reducer = "bucketed";
  options.device = "cuda";
  EXPECT_THROW(check_reducer(options), std::invalid_argument);
}

TEST(BucketTimesFile, IsRefusedBeforeAnybodyTrains) {
  const TestFolder place;
  const std::string file = place / "times";
  const std::vector<BadInput> refused = {
      {{"--bucket-times", file, "--metrics-file", file}, 2, {"--metrics-file", file}},
      {{"--bucket-times", place / "no/times"}, 1, {"--bucket-times", "no/times"}}};
  for (const BadInput& bad : refused) {
    refuse("ddp", {kSmall + std::vector<std::string>{"--gpus", "1"} + bad.arguments,
                   bad.status, bad.words});
  }
  EXPECT_TRUE(place.names().empty());
}

}  // namespace
}  // namespace lockstep::ddp
