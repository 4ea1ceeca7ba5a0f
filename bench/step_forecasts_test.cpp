// The steps that `bench --predict` foretells, beside what the cases then take, and
// DDP's cards on slow links.
#include "bench/step_forecasts.h"

#include <gtest/gtest.h>

#include "emulation/hosts.h"
#include "rows/sample_rows.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

using rows::Row;
using rows::sample_row;

Row foretold(const std::string& mode, double step_ms, int repetition, double told_ms) {
  Row row = sample_row(mode, "mlp", 2, step_ms, repetition);
  for (double& ms : row.step_ms) ms = step_ms;
  row.predicted_step_ms = {told_ms, 0.9 * told_ms, 1.1 * told_ms};
  return row;
}

TEST(StepForecastTable, TellsEachErrorTheMeanAndTheWorst) {
  const std::vector<std::string> lines = lines_of(step_forecast_table(
      {foretold("dp", 9, 0, 10), foretold("dp", 12, 1, 10), foretold("dp", 10, 2, 10),
       foretold("ddp", 8, 0, 10), sample_row("single", "mlp", 1, 5)}));
  ASSERT_EQ(lines.size(), 4u);
  const auto holds = [&](size_t line, const std::string& words) {
    EXPECT_NE(lines[line].find(words), std::string::npos) << lines[line];
  };
  holds(1, "dp/mlp/cards:2");
  holds(1, "10.00     10.00  [9.00, 11.00]");
  holds(1, "+0.0 %");
  holds(2, "+25.0 %  outside");
  EXPECT_EQ(lines[3], "mean error 12.5 %, worst 25.0 %; 1 of 2 within");
  EXPECT_EQ(step_forecast_table({sample_row("ddp", "mlp", 2, 5)}), "");
}

// The whole DDP job is on the link: 407,060 bytes of gradients.
TEST(BenchForecast, StandsInTheRowsOfSeveralCardsAndALinkIsWaitedFor) {
  const std::string reason = emulation::Hosts::cannot();
  if (!reason.empty()) {
    std::printf("WAIVED: bench --link: %s\n", reason.c_str());
    GTEST_SKIP() << reason;
  }
  const TestFolder place;
  ProgramRun run("bench", {"--model",
                           "mlp",
                           "--dataset",
                           "synthetic",
                           "--device",
                           "cpu",
                           "--mode",
                           "dp,ddp",
                           "--gpus",
                           "2",
                           "--link",
                           "100mbit",
                           "--threads-per-card",
                           "1",
                           "--steps",
                           "4",
                           "--warmup",
                           "2",
                           "--repetitions",
                           "1",
                           "--no-page",
                           "--predict",
                           "--out",
                           place / "out"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_NE(run.process().out().find("mean error"), std::string::npos);
  EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
  const std::vector<Row> rows = rows::read_rows(place / "out/runs.jsonl");
  ASSERT_EQ(rows.size(), 3u);
  for (const Row& row : rows) {
    ASSERT_EQ(row.predicted_step_ms.has_value(), row.mode != "single") << row.name;
    if (!row.predicted_step_ms) continue;
    EXPECT_LT(row.predicted_step_ms->low, row.predicted_step_ms->value);
    EXPECT_LT(row.predicted_step_ms->value, row.predicted_step_ms->high);
  }
  const Row& ddp = rows.back();
  EXPECT_EQ(ddp.name, "ddp/mlp/cards:2/link:100mbit");
  EXPECT_EQ(ddp.options.at("link"), "100mbit");
  constexpr double kBytes = 407060, kBytesAMillisecond = 100e6 / 8 / 1e3;
  // tc lets a burst through at once, which is not waited for.
  constexpr double kBurst = 256 * 1024;
  EXPECT_GT(rows::mean_phase_ms(ddp, "comm"), (kBytes - kBurst) / kBytesAMillisecond);
  EXPECT_GT(ddp.predicted_step_ms->value, (kBytes - kBurst) / kBytesAMillisecond);
}

TEST(BenchForecast, LinksThatCannotBeAreRefused) {
  for (const auto& [wrong, words] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--link", "swift", "--mode", "ddp", "--gpus", "2"}, "--link swift"},
           {{"--link", "1gbit,0mbit", "--mode", "ddp", "--gpus", "2"},
            "--link 0mbit: must be 0.1mbit to 100gbit"},
           {{"--link", "1gbit", "--mode", "dp", "--gpus", "2"}, "--mode ddp"},
           {{"--link", "1gbit", "--backend", "shm"}, "--backend gloo"},
           {{"--predict", "--mode", "single"}, "--predict: none of these cases"},
           {{"--predict", "--fits", "1"}, "--predict beside --fits"}}) {
    ProgramRun run("bench", wrong);
    EXPECT_EQ(run.status(), 2) << words;
    const std::string said = run.process().err();
    EXPECT_EQ(lines_of(said).size(), 1u) << said;
    EXPECT_NE(said.find(words), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace lockstep::bench
