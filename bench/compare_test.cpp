#include "bench/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/error_of.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

using rows::Row;

Row row(const std::string& mode, int repetition, double ms) {
  Row row;
  row.mode = mode;
  row.model = "mlp";
  row.name = mode + "/mlp/cards:" + (mode == "single" ? "1" : "2");
  row.repetition = repetition;
  row.status = "ok";
  row.step_ms = {ms, ms, ms};
  return row;
}

// A run on a machine of that speed, whose noise is 3 % a measurement.
std::vector<Row> run(uint64_t seed, int repetitions, double machine, double slower) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0, 0.03);
  std::vector<Row> rows;
  for (int i = 0; i < repetitions; ++i) {
    rows.push_back(row("single", i, machine * std::exp(noise(random))));
    rows.push_back(row("ddp", i, machine * 1.2 * slower * std::exp(noise(random))));
  }
  return rows;
}

constexpr double kTolerance = 0.03;

int flagged_of_100(double slower) {
  int flagged = 0;
  for (uint64_t trial = 0; trial < 100; ++trial) {
    const auto found = compare(run(2 * trial, 9, 1.0, 1),
                               run(2 * trial + 1, 9, 1.7, slower), kTolerance);
    flagged += found.at(0).regression ? 1 : 0;
  }
  return flagged;
}

TEST(Compare, TenPercentAreFoundAndNothingIsNot) {
  EXPECT_GE(flagged_of_100(1.10), 95);
  EXPECT_LE(flagged_of_100(1.00), 5);
  EXPECT_EQ(flagged_of_100(0.90), 0) << "quicker is no regression";
}

TEST(Compare, ASlowerMachineIsNoRegressionAndASlowerCaseIs) {
  std::vector<Row> before, same, slow;
  for (int i = 0; i < 5; ++i) {
    const double drift = 1 + 0.01 * i;
    before.push_back(row("single", i, drift));
    before.push_back(row("ddp", i, 2 * drift));
    same.push_back(row("single", i, 3 * drift));
    same.push_back(row("ddp", i, 6 * drift));
    slow.push_back(row("single", i, 3 * drift));
    slow.push_back(row("ddp", i, 9 * drift));
  }
  const Comparison equal = compare(before, same, kTolerance).at(0);
  EXPECT_NEAR(equal.change, 0, 1e-12);
  EXPECT_EQ(equal.p, 1);
  EXPECT_FALSE(equal.regression);
  const Comparison slower = compare(before, slow, kTolerance).at(0);
  EXPECT_EQ(slower.name, "ddp/mlp/cards:2");
  EXPECT_NEAR(slower.old_ratio, 2, 1e-12);
  EXPECT_NEAR(slower.change, 0.5, 1e-12);
  EXPECT_NEAR(slower.low, 0.5, 1e-9);
  EXPECT_NEAR(slower.p, 1.0 / 252, 1e-12);  // one of 10 over 5
  EXPECT_EQ(slower.delta, 1);
  EXPECT_TRUE(slower.regression);
  EXPECT_FALSE(compare(before, slow, /*tolerance=*/0.6).at(0).regression);
  EXPECT_NE(comparison_table({slower}).find("REGRESSION"), std::string::npos);
}

TEST(Compare, NothingInCommonIsAnError) {
  const std::vector<Row> rows = run(1, 3, 1, 1);
  EXPECT_NE(error_of([&] { compare({}, rows, kTolerance); }).find("no case"),
            std::string::npos);
  EXPECT_NE(error_of([&] { compare({rows[1]}, rows, kTolerance); }).find("no case"),
            std::string::npos)
      << "a case without its single card";
}

// A whole run, against a made-up older one in which DDP took next to no time, and
// against none.
TEST(BenchCompare, EndsWithStatus3WhereACaseIsSlower) {
  const TestFolder folder;
  const auto leave = [&](const std::string& name, double ddp_ms) {
    std::string text;
    for (int i = 0; i < 3; ++i) {
      text += to_json_line(row("single", i, 1)) + "\n";
      text += to_json_line(row("ddp", i, ddp_ms)) + "\n";
    }
    write_text(folder / name, text);
    return folder / name;
  };
  const auto bench = [&](const std::string& old) {
    return std::vector<std::string>{
        "--mode",    "ddp",       "--gpus",    "2",       "--model",
        "mlp",       "--dataset", "synthetic", "--steps", "4",
        "--warmup",  "1",         "--no-page", "--out",   folder / "out",
        "--compare", old,         "--device",  "cpu",     "--repetitions",
        "3"};
  };
  ProgramRun slower("bench", bench(leave("quick.jsonl", 0.001)));
  EXPECT_EQ(slower.status(), 3) << slower.process().err();
  EXPECT_NE(slower.process().out().find("REGRESSION"), std::string::npos)
      << slower.process().out();
  ProgramRun nowhere("bench", bench(folder / "nowhere"));
  EXPECT_EQ(nowhere.status(), 1);
  EXPECT_NE(nowhere.process().err().find("nowhere"), std::string::npos);
}

TEST(Compare, WhatCanNeverBeToldIsRefusedBeforehand) {
  const std::vector<Row> old = run(1, 3, 1, 1);
  check_comparable(old, {"ddp/mlp/cards:2"}, 3);
  EXPECT_NE(error_of([&] {
              check_comparable(old, {"ddp/mlp/cards:2"}, 2);
            }).find("3 repetitions then and 2 now"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              check_comparable(old, {"dp/mlp/cards:2"}, 3);
            }).find("none of these cases"),
            std::string::npos);
}

}  // namespace
}  // namespace lockstep::bench
