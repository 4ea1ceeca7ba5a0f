// The memory that `bench` predicts from one card, beside what the cards then took.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/memory.h"
#include "rows/row.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

using rows::Row;

Row row_of(const std::string& name, int repetition, int64_t measured,
           std::optional<int64_t> predicted) {
  Row row;
  row.name = name;
  row.repetition = repetition;
  row.status = "ok";
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

// What is not foreseen is the padding between parameters that lie in one piece of
// memory, less than the logits of one card take.
TEST(PredictedMemory, IsWhatEveryCardTakesWhateverTheWay) {
  const TestFolder place;
  ProgramRun run("bench", {"--model",         "convnet",
                           "--mode",          "dp",
                           "--dataset",       "synthetic",
                           "--device",        "cpu",
                           "--gpus",          "3",
                           "--batch-size",    "8",
                           "--steps",         "2",
                           "--warmup",        "1",
                           "--repetitions",   "1",
                           "--dp-reduce",     "tree",
                           "--dp-loss",       "primary,replica",
                           "--primary-share", "0.5",
                           "--no-page",       "--predict-memory",
                           "--out",           place / "out"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  std::multiset<std::string> modes;
  for (const Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    modes.insert(row.mode);
    ASSERT_EQ(row.memory.size(), static_cast<size_t>(row.cards));
    for (const rows::CardRow& card : row.memory) {
      ASSERT_TRUE(card.predicted_peak_bytes.has_value()) << row.name;
      EXPECT_NEAR(static_cast<double>(*card.predicted_peak_bytes),
                  static_cast<double>(card.peak_bytes), 256)
          << row.name << " card " << card.card;
    }
  }
  EXPECT_EQ(modes, (std::multiset<std::string>{"single", "dp-tree-share-0.5",
                                               "dp-tree-loss-replica-share-0.5"}));
  const std::string& told = run.process().out();
  EXPECT_NE(told.find("peak memory"), std::string::npos) << told;
  EXPECT_NE(told.find("dp-tree-share-0.5/convnet/cards:3"), std::string::npos) << told;
}

TEST(FittingBatch, IsPredictedAndConfirmedByRunning) {
  const TestFolder place;
  ProgramRun run(
      "bench", {"--model", "mlp", "--dataset", "synthetic", "--device", "cpu", "--mode",
                "dp", "--gpus", "2", "--fits", "0.002", "--out", place / "out"});
  EXPECT_EQ(run.status(), 1) << "for one case has no answer";
  EXPECT_EQ(place.names(), (std::vector<std::string>{"out", "out/fits.json"}));
  const auto fits = nlohmann::json::parse(read_text(place / "out/fits.json"));
  ASSERT_EQ(fits.at("cases").size(), 2u);
  const auto& single = fits.at("cases")[0];
  EXPECT_EQ(single.at("name"), "single/mlp/cards:1");
  EXPECT_GT(single.at("confirmed_batch"), 50);
  EXPECT_EQ(single.at("predicted_batch"), single.at("confirmed_batch"));
  EXPECT_EQ(single.at("runs"), 2) << "it, and one more that is out of memory";
  const auto& dp = fits.at("cases")[1];
  EXPECT_EQ(dp.count("confirmed_batch"), 0u) << dp;
  EXPECT_EQ(dp.at("error"), "not even a batch of 1 fits; give --fits more");
  for (const auto& entry : {single, dp}) {
    const auto lines = lines_of(run.process().out());
    EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.rfind(entry.at("name").get<std::string>(), 0) == 0;
    })) << run.process().out();
  }
}

}  // namespace
}  // namespace lockstep::bench
