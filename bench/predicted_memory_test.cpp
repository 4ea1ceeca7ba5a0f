// The memory that `bench` predicts from one card, beside what the cards then took.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "bench/memory.h"
#include "reports/row.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

using reports::Row;

Row row_of(const std::string& name, int repetition, int64_t measured,
           std::optional<int64_t> predicted) {
  Row row;
  row.name = name;
  row.repetition = repetition;
  row.memory = {{.card = 0, .peak_bytes = measured, .at_peak_bytes = {}}};
  row.memory[0].predicted_peak_bytes = predicted;
  return row;
}

TEST(MemoryTable, ShowsTheRepetitionThatIsFarthestOff) {
  constexpr int64_t kMiB = 1024 * 1024;
  const std::string text = memory_table({row_of("dp/mlp/cards:2", 0, 2 * kMiB, kMiB),
                                         row_of("dp/mlp/cards:2", 1, 4 * kMiB, kMiB),
                                         row_of("dp/mlp/cards:2", 2, kMiB, kMiB)});
  const std::vector<std::string> lines = lines_of(text);
  ASSERT_EQ(lines.size(), 2u) << text;
  EXPECT_EQ(lines[1].rfind("dp/mlp/cards:2 ", 0), 0u);
  EXPECT_NE(lines[1].find(" 0         1.000        4.000  -75.000"), std::string::npos)
      << text;
  EXPECT_EQ(memory_table({row_of("single/mlp/cards:1", 0, kMiB, {})}), "");
}

TEST(MemoryTable, PredictionsComeToTheRowsOfTheirCase) {
  std::vector<Row> rows = {row_of("single/mlp/cards:1", 0, 10, {}),
                           row_of("dp/mlp/cards:2", 0, 10, {})};
  add_predictions({{"single/mlp/cards:1", {11}}, {"dp/mlp/cards:2", {12, 13}}}, rows);
  EXPECT_EQ(rows[0].memory[0].predicted_peak_bytes, 11);
  EXPECT_FALSE(rows[1].memory[0].predicted_peak_bytes.has_value())
      << "of as many cards as were measured";
}

// To a promille: what is not foreseen is the padding between parameters that lie in one
// piece of memory.
TEST(PredictedMemory, IsWhatEveryCardTakesWhateverTheWay) {
  const TestFolder place;
  ProgramRun run("bench",
                 {"--model",         "convnet",    "--dataset",     "synthetic",
                  "--device",        "cpu",        "--gpus",        "3",
                  "--batch-size",    "24",         "--steps",       "2",
                  "--warmup",        "1",          "--repetitions", "1",
                  "--dp-reduce",     "tree",       "--dp-loss",     "primary,replica",
                  "--primary-share", "0.5",        "--no-page",     "--predict-memory",
                  "--out",           place / "out"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  std::multiset<std::string> modes;
  for (const Row& row : reports::read_rows(place / "out/runs.jsonl")) {
    modes.insert(row.mode);
    ASSERT_EQ(row.memory.size(), static_cast<size_t>(row.cards));
    for (const reports::CardRow& card : row.memory) {
      ASSERT_TRUE(card.predicted_peak_bytes.has_value()) << row.name;
      EXPECT_NEAR(static_cast<double>(*card.predicted_peak_bytes) /
                      static_cast<double>(card.peak_bytes),
                  1, 0.001)
          << row.name << " card " << card.card;
    }
  }
  EXPECT_EQ(modes,
            (std::multiset<std::string>{"single", "dp-tree-share-0.5",
                                        "dp-tree-loss-replica-share-0.5", "ddp"}));
  const std::string& told = run.process().out();
  EXPECT_NE(told.find("peak memory"), std::string::npos) << told;
  EXPECT_NE(told.find("dp-tree-share-0.5/convnet/cards:3"), std::string::npos) << told;
}

}  // namespace
}  // namespace lockstep::bench
