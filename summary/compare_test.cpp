#include "summary/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/error_of.h"

namespace lockstep::summary {
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

TEST(Compare, WhatCanNeverBeToldIsRefusedBeforehand) {
  const std::vector<Row> old = run(1, 3, 1, 1);
  const auto refusal = [&](const Row& planned, int repetitions) {
    return error_of([&] { check_comparable(old, {planned}, repetitions); });
  };
  const Row ddp = row("ddp", 0, 0);
  check_comparable(old, {ddp}, 3);
  EXPECT_NE(refusal(ddp, 2).find("3 repetitions then and 2 now"), std::string::npos);
  EXPECT_NE(refusal(row("dp", 0, 0), 3).find("none of these cases"), std::string::npos);
  Row other_batch = ddp;
  other_batch.local_batch = 32;
  EXPECT_NE(refusal(other_batch, 3).find("another batch"), std::string::npos);
}

TEST(Compare, TheSingleCardIsThatOfTheSameBatch) {
  std::vector<Row> before, now;
  for (int i = 0; i < 3; ++i) {
    // The other batch's single card comes first, and becomes ten times as slow.
    Row other = row("single", i, 1);
    other.name += "/batch:8";
    other.local_batch = 8;
    for (std::vector<Row>* rows : {&before, &now}) {
      rows->push_back(other);
      rows->push_back(row("single", i, 1));
      rows->push_back(row("ddp", i, 2));
      other.step_ms = {10, 10, 10};
    }
  }
  const std::vector<Comparison> found = compare(before, now, kTolerance);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].old_ratio, 2);
  EXPECT_EQ(found[0].change, 0);
}

// One repetition that met a busy machine does not hide that all others are slower.
TEST(Compare, AnOutlierCountsAsTheSlowestAndNoMore) {
  std::vector<Row> before, now;
  for (int i = 0; i < 9; ++i) {
    before.push_back(row("single", i, 1));
    before.push_back(row("ddp", i, i == 0 ? 4 : 1 + 0.001 * i));
    now.push_back(row("single", i, 1));
    now.push_back(row("ddp", i, 1.1 + 0.001 * i));
  }
  const Comparison found = compare(before, now, kTolerance).at(0);
  EXPECT_LT(found.p, 0.01);
  EXPECT_TRUE(found.regression);
}

}  // namespace
}  // namespace lockstep::summary
