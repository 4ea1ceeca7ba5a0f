#include "rows/row.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "rows/sample_rows.h"

namespace lockstep::rows {
namespace {

// What from_json_line says about `line`; empty when it is taken.
std::string refusal(const std::string& line) {
  try {
    from_json_line(line, "runs.jsonl:3");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

std::string changed(const std::string& key, const nlohmann::json& value) {
  nlohmann::json line =
      nlohmann::json::parse(to_json_line(sample_row("ddp", "mlp", 2, 4)));
  line[key] = value;
  return line.dump();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Row, ComesBackAsItWasWritten) {
  Row row = sample_row("dp", "mlp", 2, 3.25, /*repetition=*/1);
  row.message = "a \"quoted\" line\nand </script> another";
  row.options = {{"reducer", "bucketed"}, {"lr", "0.01"}};
  row.rss_peak_bytes = 123456789012345;
  row.accuracy = 0.875;
  row.losses[4] = 0.1 + 0.2;  // needs all 17 digits
  row.memory[0].predicted_peak_bytes = 1234567890123;
  row.memory[1].highest_bytes = {{"activations", 5}, {"outputs", 7}};
  row.memory[1].process_bytes = 1234567890124;
  const std::string line = to_json_line(row);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Row back = from_json_line(line, "here");
  EXPECT_EQ(to_json_line(back), line);
  EXPECT_EQ(back.message, row.message);
  EXPECT_EQ(back.options, row.options);
  EXPECT_EQ(back.losses, row.losses);
  EXPECT_EQ(back.phases_ms, row.phases_ms);
  EXPECT_EQ(back.rss_peak_bytes, row.rss_peak_bytes);
  EXPECT_EQ(back.accuracy, row.accuracy);
  ASSERT_EQ(back.memory.size(), 2u);
  EXPECT_EQ(back.memory[0].at_peak_bytes, row.memory[0].at_peak_bytes);
  EXPECT_EQ(back.memory[0].predicted_peak_bytes, 1234567890123);
  EXPECT_FALSE(back.memory[1].predicted_peak_bytes.has_value());
  EXPECT_FALSE(back.memory[0].process_bytes.has_value());
  EXPECT_EQ(back.memory[1].process_bytes, 1234567890124);
  EXPECT_TRUE(back.memory[0].highest_bytes.empty()) << "as older rows have it";
  EXPECT_EQ(back.memory[1].highest_bytes, row.memory[1].highest_bytes);
}

Row with_timeline() {
  Row row = sample_row("dp", "mlp", 2, 3);
  row.memory[1].timeline = {.ms = {0, 0.5, 0.5, 2},
                            .category = {0, 1, 1, 0},
                            .stage = {0, 1, 1, 1},
                            .bytes = {600, 400, -400, -100},
                            .categories = {"parameters", "input"},
                            .stages = {"before", "data"}};
  return row;
}

TEST(Row, ATimelineComesBackAsItWasWritten) {
  const Row back = from_json_line(to_json_line(with_timeline()), "here");
  EXPECT_FALSE(back.memory[0].timeline.has_value());
  ASSERT_TRUE(back.memory[1].timeline.has_value());
  EXPECT_EQ(back.memory[1].timeline->bytes,
            (std::vector<int64_t>{600, 400, -400, -100}));
  EXPECT_EQ(to_json_line(back), to_json_line(with_timeline()));
}

TEST(Row, ATimelineThatCannotBeIsRefused) {
  const auto refused = [](const std::function<void(TimelineRow&)>& spoil) {
    Row row = with_timeline();
    spoil(*row.memory[1].timeline);
    return refusal(to_json_line(row));
  };
  EXPECT_TRUE(contains(refused([](auto& line) { line.bytes.pop_back(); }),
                       "lists of \"timeline\" are not of one length"));
  EXPECT_TRUE(contains(refused([](auto& line) { line.ms[3] = 0.25; }), "fall"));
  EXPECT_TRUE(contains(refused([](auto& line) { line.ms[3] = std::nan(""); }), "fall"));
  EXPECT_TRUE(contains(refused([](auto& line) { line.category[1] = 2; }),
                       "\"timeline.category\" is 2, outside 0 to 1"));
  EXPECT_TRUE(contains(refused([](auto& line) { line.stage[1] = -1; }), "outside 0"));
  EXPECT_TRUE(contains(refused([](auto& line) { line.bytes[2] = -401; }),
                       "change 2 of \"timeline\" leaves -1 bytes"));
  EXPECT_TRUE(contains(refused([](auto& line) { line.stages.clear(); }), "outside 0"));
}

TEST(Row, AStepsLanesAndItsPredictionComeBack) {
  Row row = sample_row("ddp", "mlp", 2, 4);
  add_sample_lanes(row, 4);
  const Row back = from_json_line(to_json_line(row), "here");
  ASSERT_TRUE(back.step_lanes && back.predicted_step_ms);
  EXPECT_EQ(back.step_lanes->lanes, row.step_lanes->lanes);
  EXPECT_EQ(back.step_lanes->names, row.step_lanes->names);
  EXPECT_EQ(back.step_lanes->lane, row.step_lanes->lane);
  EXPECT_EQ(back.step_lanes->name, row.step_lanes->name);
  EXPECT_EQ(back.step_lanes->begin_ms, row.step_lanes->begin_ms);
  EXPECT_EQ(back.step_lanes->end_ms, row.step_lanes->end_ms);
  EXPECT_DOUBLE_EQ(back.predicted_step_ms->value, 4);
  EXPECT_DOUBLE_EQ(back.predicted_step_ms->low, 0.9 * 4);
  EXPECT_DOUBLE_EQ(back.predicted_step_ms->high, 1.1 * 4);
}

TEST(Row, LanesAndPredictionsThatCannotBeAreRefused) {
  Row row = sample_row("ddp", "mlp", 2, 4);
  add_sample_lanes(row, 4);
  const nlohmann::json good = nlohmann::json::parse(to_json_line(row));
  const auto refusal_of = [&](const std::string& path, const nlohmann::json& value) {
    nlohmann::json bad = good;
    bad[nlohmann::json::json_pointer(path)] = value;
    return refusal(bad.dump());
  };
  EXPECT_TRUE(contains(refusal_of("/step_lanes/lane/0", 9), "outside 0 to 3"));
  EXPECT_TRUE(contains(refusal_of("/step_lanes/names", "x"), "a list"));
  EXPECT_TRUE(
      contains(refusal_of("/step_lanes/end_ms/0", -1), "ends before it begins"));
  EXPECT_TRUE(contains(refusal_of("/step_lanes/begin_ms", {1.0}), "not of one length"));
  EXPECT_TRUE(contains(refusal_of("/predicted_step_ms/low", 5), "low <= value"));
  EXPECT_TRUE(contains(refusal_of("/predicted_step_ms/high", "5"), "a number"));
}

TEST(Row, NotANumberIsNullAndBack) {
  Row row = sample_row("single", "mlp", 1, 2);
  row.losses = {1.5, std::numeric_limits<double>::quiet_NaN()};
  const std::string line = to_json_line(row);
  EXPECT_TRUE(contains(line, "[1.5,null]")) << line;
  EXPECT_TRUE(std::isnan(from_json_line(line, "here").losses.at(1)));
}

TEST(Row, WhatWasNotMeasuredIsAbsent) {
  const Row row = sample_row("single", "mlp", 1, 2);
  EXPECT_FALSE(contains(to_json_line(row), "rss_peak_bytes"));
  EXPECT_FALSE(contains(to_json_line(row), "accuracy"));
  EXPECT_FALSE(from_json_line(to_json_line(row), "here").accuracy.has_value());
}

TEST(Row, NullIsAbsent) {
  nlohmann::json line =
      nlohmann::json::parse(to_json_line(sample_row("single", "mlp", 1, 2)));
  for (const char* key : {"message", "repetition", "flags", "date", "machine",
                          "options", "phases_ms", "losses", "memory", "step_lanes",
                          "predicted_step_ms", "rss_peak_bytes", "accuracy"}) {
    line[key] = nullptr;
  }
  const Row row = from_json_line(line.dump(), "here");
  EXPECT_FALSE(row.rss_peak_bytes || row.accuracy || row.step_lanes);
  EXPECT_TRUE(row.losses.empty());
  EXPECT_TRUE(contains(refusal(changed("cards", nullptr)), "the row has no \"cards\""));
}

TEST(Row, BrokenTextDoesNotCostTheRow) {
  Row row = sample_row("single", "mlp", 1, 2);
  row.message = "broken \xff here";
  EXPECT_EQ(refusal(to_json_line(row)), "");
}

TEST(Row, UnknownSchemaIsRefused) {
  EXPECT_EQ(
      refusal(changed("schema", 7)),
      "runs.jsonl:3: schema 7 is unknown to this program (it reads up to 1); update "
      "Lockstep, or make the rows again with `bench`");
  EXPECT_TRUE(contains(refusal(changed("schema", 0)), "schema 0 is unknown"));
  EXPECT_TRUE(contains(refusal(changed("schema", "one")), "schema \"one\" is unknown"));
  EXPECT_TRUE(contains(refusal("{}"), "runs.jsonl:3: the row has no \"schema\""));
}

TEST(Row, UnknownKeysAreIgnored) { EXPECT_EQ(refusal(changed("novelty", 1)), ""); }

TEST(Row, WrongValuesAreNamed) {
  EXPECT_TRUE(contains(refusal(changed("cards", "two")),
                       "\"cards\" should be a whole number, not \"two\""));
  EXPECT_TRUE(contains(refusal(changed("cards", 0)), "\"cards\" is 0, outside 1 to"));
  EXPECT_TRUE(
      contains(refusal(changed("cards", 18446744073709551615u)), "outside 1 to"));
  EXPECT_TRUE(contains(refusal(changed("cards", 1e300)), "should be a whole number"));
  EXPECT_TRUE(contains(refusal(changed("warmup_steps", -1)), "\"warmup_steps\" is -1"));
  EXPECT_TRUE(
      contains(refusal(changed("status", "fine")), "status \"fine\" is none of"));
  EXPECT_TRUE(contains(refusal(changed("losses", {1, "x"})),
                       "\"losses\" should be numbers, not \"x\""));
  EXPECT_TRUE(contains(refusal(changed("memory", {3})), "\"memory\" should be a list"));
  EXPECT_TRUE(contains(refusal("[1]"), "\"row\" should be an object"));
  EXPECT_TRUE(contains(refusal("{\"schema\": 1e999}"), "runs.jsonl:3: a number in it"));
}

TEST(Row, EveryCutShortLineIsRefusedInOneLine) {
  const std::string line = to_json_line(sample_row("dp", "mlp", 2, 3));
  for (size_t length = 1; length < line.size(); ++length) {
    const std::string said = refusal(line.substr(0, length));
    ASSERT_TRUE(contains(said, "runs.jsonl:3: not valid JSON at byte")) << length;
    ASSERT_FALSE(contains(said, "\n"));
  }
}

TEST(Rows, AFileIsReadWithLineNumbers) {
  const std::string path =
      (std::filesystem::path(testing::TempDir()) / "row_test.jsonl").string();
  const std::string good = to_json_line(sample_row("dp", "mlp", 2, 3));
  std::ofstream(path) << good << "\n\n" << good << "\n";
  EXPECT_EQ(read_rows(path).size(), 2u);
  std::ofstream(path) << good << "\n\n" << good.substr(0, 99);
  try {
    read_rows(path);
    FAIL() << "a line cut short was taken";
  } catch (const std::runtime_error& error) {
    EXPECT_TRUE(contains(error.what(), "row_test.jsonl:3: not valid JSON"))
        << error.what();
  }
  std::filesystem::remove(path);
  EXPECT_THROW(read_rows(path), std::runtime_error);
}

TEST(Figures, LeaveTheWarmUpOut) {
  Row row = sample_row("ddp", "mlp", 2, 4);
  row.step_ms = {1000, 1000, 1, 2, 3, 4};  // 2 warm-up steps
  EXPECT_DOUBLE_EQ(*percentile_ms(row, 50), 2.5);
  EXPECT_DOUBLE_EQ(*percentile_ms(row, 0), 1);
  EXPECT_DOUBLE_EQ(*percentile_ms(row, 100), 4);
  EXPECT_DOUBLE_EQ(*percentile_ms(row, 95), 3.85);
  EXPECT_DOUBLE_EQ(*samples_per_second(row), 128 / 2.5e-3);
  row.phases_ms["forward"] = {1000, 1000, 1, 2, 3, 6};
  EXPECT_DOUBLE_EQ(*mean_phase_ms(row, "forward"), 3);
  EXPECT_FALSE(mean_phase_ms(row, "comm").has_value());
  row.step_ms = {1000, 1000};
  EXPECT_FALSE(percentile_ms(row, 50).has_value());
  EXPECT_FALSE(samples_per_second(row).has_value());
}

TEST(Figures, OfRanksThatMeetAreOverWholeRounds) {
  Row row = sample_row("ddp", "mlp", 2, 4);
  row.options["local-sgd"] = "3";
  // Two of warm-up, the rest of their round, two whole rounds, and a short one.
  row.step_ms = {9, 9, 90, 1, 1, 10, 1, 2, 12, 1, 50};
  EXPECT_DOUBLE_EQ(*step_ms_of(row), 27.0 / 6);
  EXPECT_DOUBLE_EQ(*samples_per_second(row), 128 / 4.5e-3);
  row.step_ms.resize(5);
  EXPECT_FALSE(samples_per_second(row).has_value());
  row.step_ms[3] = 3;
  row.options.clear();
  EXPECT_DOUBLE_EQ(*step_ms_of(row), 3) << "of 90, 3 and 1";
}

TEST(Figures, ImbalanceIsThePrimaryOverTheMeanOfTheOthers) {
  Row row = sample_row("dp", "mlp", 3, 4);
  row.memory = {{2, 100, {}}, {0, 300, {}}, {1, 140, {}}};
  EXPECT_DOUBLE_EQ(*memory_imbalance(row), 2.5);
  row.memory = {{0, 300, {}}};
  EXPECT_FALSE(memory_imbalance(row).has_value());
  row.memory = {};
  EXPECT_FALSE(memory_imbalance(row).has_value());
}

TEST(Modes, WaysOfDataParallelStandTogether) {
  for (const char* mode : {"dp", "dp-tree", "dp-loss-replica-share-0.5", "dp-python"}) {
    EXPECT_TRUE(is_data_parallel(mode)) << mode;
    EXPECT_EQ(place_of_mode(mode), place_of_mode("dp")) << mode;
  }
  for (const char* mode : {"single", "ddp", "ddp-python", "dpx", "", "bound"}) {
    EXPECT_FALSE(is_data_parallel(mode)) << mode;
    EXPECT_NE(place_of_mode(mode), place_of_mode("dp")) << mode;
  }
  EXPECT_LT(place_of_mode("single"), place_of_mode("dp"));
  EXPECT_LT(place_of_mode("dp-tree"), place_of_mode("ddp"));
  EXPECT_LT(place_of_mode("bound"), place_of_mode("what nobody knows yet"));
}

}  // namespace
}  // namespace lockstep::rows
