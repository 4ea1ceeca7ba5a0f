// What rows tell in a terminal, of made-up ones.
#include "summary/table.h"

#include <gtest/gtest.h>

#include <sstream>

#include "rows/sample_rows.h"
#include "summary/efficiency.h"

namespace lockstep::summary {
namespace {

using rows::Row;
using rows::sample_row;

// Of a global batch of 128, whatever the cards.
Row strong_row(const std::string& mode, int cards, double ms, int repetition = 0) {
  Row row = sample_row(mode, "mlp", cards, ms, repetition);
  row.scaling = "strong";
  row.name += "/scaling:strong";
  row.local_batch = 128 / cards;
  row.global_batch = 128;
  return row;
}

Row ddp_row(int cards, double ms, const std::string& reducer, const std::string& cap) {
  Row row = sample_row("ddp", "mlp", cards, ms);
  row.name += "/reducer:" + reducer + (cap.empty() ? "" : "/cap:" + cap);
  row.options["reducer"] = reducer;
  if (!cap.empty()) row.options["bucket-cap-mb"] = cap;
  return row;
}

// The line that holds both words; empty: none does.
std::string line_with(const std::string& text, const std::string& word,
                      const std::string& other = "") {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(word) != std::string::npos && line.find(other) != std::string::npos) {
      return line;
    }
  }
  return "";
}

bool has(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

TEST(DriverMemory, ACardHasALineOfItsHighest) {
  Row row = sample_row("ddp", "mlp", 2, 4);
  EXPECT_EQ(driver_memory_table({row}), "") << "emulated cards have no driver";
  constexpr int64_t kMiB = 1 << 20;
  row.memory[1].allocator_peak_bytes = {{"allocated", 20 * kMiB},
                                        {"reserved", 22 * kMiB}};
  row.memory[1].process_bytes = 500 * kMiB;
  Row second = row;
  second.repetition = 1;
  second.memory[1].process_bytes = 512 * kMiB;
  Row failed = second;
  failed.status = "error";
  failed.memory[1].process_bytes = 900 * kMiB;
  EXPECT_EQ(driver_memory_table({row, second, failed}),
            "memory of a card                               card allocated MiB "
            "reserved MiB process MiB\n"
            "ddp/mlp/cards:2                                   1         20.00 "
            "       22.00      512.00\n");
}

TEST(Efficiency, StrongScalingsBaselineIsExactlyOneAtOneCard) {
  const std::vector<Row> rows = {
      sample_row("single", "mlp", 1, 3.7),  // of weak scaling: nobody's here
      strong_row("single", 1, 8.1),        strong_row("single", 1, 7.3, 1),
      strong_row("ddp", 1, 8.0),           strong_row("ddp", 2, 5.0),
      sample_row("ddp", "mlp", 2, 4.0),
  };
  EXPECT_EQ(scaling_efficiency(rows, "single/mlp/cards:1/scaling:strong"), 1.0);
  EXPECT_EQ(efficiency_over_one_rank(rows, "ddp/mlp/cards:1/scaling:strong"), 1.0);
  const std::string two = "ddp/mlp/cards:2/scaling:strong";
  // The median of throughputs of 8.1 and 7.3 ms, over two cards' at 5 ms.
  const double single = (128 / 8.1 + 128 / 7.3) / 2;
  EXPECT_NEAR(*scaling_efficiency(rows, two), 128 / 5.0 / 2 / single, 1e-12);
  EXPECT_NEAR(*efficiency_over_one_rank(rows, two), 0.8, 1e-12);
  EXPECT_NEAR(*scaling_efficiency(rows, "ddp/mlp/cards:2"), 3.7 / 4.0, 1e-12);
  EXPECT_FALSE(efficiency_over_one_rank(rows, "ddp/mlp/cards:2").has_value());
  EXPECT_FALSE(
      efficiency_over_one_rank(rows, "single/mlp/cards:1/scaling:strong").has_value());

  const std::string table = scaling_table(rows);
  EXPECT_TRUE(has(line_with(table, two), "1.60     0.80")) << table;
  EXPECT_TRUE(has(line_with(table, "single/mlp/cards:1/scaling"), "1.00     1.00"))
      << table;
}

TEST(Efficiency, EveryBatchAndWayHasItsOwnBaseline) {
  std::vector<Row> rows = {
      sample_row("single", "mlp", 1, 2.0), sample_row("single", "mlp", 1, 3.0),
      ddp_row(1, 2.5, "flat", ""),         ddp_row(1, 2.0, "bucketed", "5"),
      ddp_row(2, 2.5, "flat", ""),         ddp_row(2, 2.5, "bucketed", "5")};
  rows[1].name += "/batch:128";
  rows[1].local_batch = rows[1].global_batch = 128;
  EXPECT_EQ(scaling_efficiency(rows, "single/mlp/cards:1/batch:128"), 1.0);
  EXPECT_EQ(scaling_efficiency(rows, rows[4].name), 0.8);
  EXPECT_EQ(efficiency_over_one_rank(rows, rows[4].name), 1.0);
  EXPECT_EQ(efficiency_over_one_rank(rows, rows[5].name), 0.8);
}

TEST(Table, TellsKnobsAndBothEfficiencies) {
  const std::vector<Row> rows = {
      sample_row("single", "mlp", 1, 2.0), ddp_row(1, 2.5, "flat", ""),
      ddp_row(2, 2.5, "flat", ""), ddp_row(2, 2.0, "bucketed", "5")};
  const std::string text = table(rows);
  EXPECT_TRUE(has(line_with(text, "samples/s"), "effic. ddp:1")) << text;
  EXPECT_TRUE(has(line_with(text, "ddp/reducer:flat ", " 2 "), "0.80   1.00")) << text;
  EXPECT_TRUE(has(line_with(text, "ddp/reducer:bucketed/cap:5"), "1.00      -"))
      << text;
  EXPECT_FALSE(has(text, "95 %")) << "of one repetition";
  EXPECT_FALSE(has(table({rows[0], rows[2]}), "ddp:1")) << "which was not measured";
}

TEST(Table, ThreeRepetitionsHaveAnInterval) {
  std::vector<Row> rows;
  for (int i = 0; i < 3; ++i) {
    rows.push_back(sample_row("single", "mlp", 1,
                              i == 0   ? 2.0
                              : i == 1 ? 1.0
                                       : 4.0,
                              i));
  }
  EXPECT_TRUE(has(table(rows), "32000  [16000, 64000]")) << table(rows);
  rows.pop_back();
  EXPECT_FALSE(has(table(rows), "[")) << table(rows);
}

TEST(BucketTable, MarksTheBestCapOfEachWay) {
  std::vector<Row> rows = {
      sample_row("single", "mlp", 1, 2.0), ddp_row(2, 3.0, "bucketed", "0"),
      ddp_row(2, 2.0, "bucketed", "5"),    ddp_row(2, 2.5, "bucketed", "25"),
      ddp_row(2, 9.0, "c10d", "5"),        ddp_row(2, 1.0, "flat", "")};
  const std::string text = bucket_table(rows);
  EXPECT_TRUE(has(line_with(text, "bucketed/cap:5"), "2.000  best")) << text;
  EXPECT_TRUE(has(line_with(text, "c10d/cap:5"), "best")) << text;
  EXPECT_FALSE(has(line_with(text, "cap:0"), "best")) << text;
  EXPECT_FALSE(has(line_with(text, "cap:25"), "best")) << text;
  EXPECT_EQ(line_with(text, "flat"), "") << "has no buckets";
}

}  // namespace
}  // namespace lockstep::summary
