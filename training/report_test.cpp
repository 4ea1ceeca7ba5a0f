#include "training/report.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep::training {
namespace {

namespace fs = std::filesystem;

// What a rank of two steps reports; `scale` tells ranks apart.
TrainReport sample(double scale = 1) {
  TrainReport report;
  report.epochs = {0, 1};
  report.losses = {2.0 * scale, 1.0 / 3.0};
  report.samples = {64, 17};
  report.step_ms = {10.5 * scale, 9.25};
  for (int i = 0; i < kPhases; ++i) {
    report.phases_ms[to_string(static_cast<Phase>(i))] = {1.5 * scale, 0.1 * i};
  }
  report.phases_ms["comm"] = {0.25, 0.5};
  report.cards = {
      {0, static_cast<int64_t>(1000 * scale), {{"parameters", 600}, {"input", 400}}}};
  report.cards[0].highest_bytes = {{"parameters", 600}, {"outputs", 500}};
  report.cards[0].timeline = {.ms = {0, 0.125, 2},
                              .category = {0, 1, 1},
                              .stage = {0, 1, 1},
                              .bytes = {600, 400, -400},
                              .categories = {"parameters", "input"},
                              .stages = {"before", "data"}};
  report.cards[0].process_bytes = static_cast<int64_t>(2000 * scale);
  report.threads_per_card = 2;
  report.device = "cpu";
  report.rss_peak_bytes = static_cast<int64_t>(5'000'000'000 * scale);
  report.correct = 90;
  report.evaluated = 100;
  return report;
}

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "none";
}

TEST(ReportTest, JsonRoundTripKeepsEveryField) {
  const TrainReport report = sample();
  const TrainReport back = report_from_json(to_json(report));
  EXPECT_EQ(back.epochs, report.epochs);
  EXPECT_EQ(back.losses, report.losses) << "to the last bit";
  EXPECT_EQ(back.samples, report.samples);
  EXPECT_EQ(back.step_ms, report.step_ms);
  EXPECT_EQ(back.phases_ms, report.phases_ms);
  ASSERT_EQ(back.cards.size(), 1U);
  EXPECT_EQ(back.cards[0].card, 0);
  EXPECT_EQ(back.cards[0].peak_bytes, 1000);
  EXPECT_EQ(back.cards[0].at_peak_bytes, report.cards[0].at_peak_bytes);
  EXPECT_EQ(back.cards[0].highest_bytes, report.cards[0].highest_bytes);
  ASSERT_TRUE(back.cards[0].timeline.has_value());
  EXPECT_EQ(back.cards[0].timeline->bytes, report.cards[0].timeline->bytes);
  EXPECT_EQ(back.cards[0].process_bytes, 2000);
  EXPECT_EQ(back.threads_per_card, 2);
  EXPECT_EQ(back.device, "cpu");
  EXPECT_EQ(back.rss_peak_bytes, 5'000'000'000);
  EXPECT_EQ(back.correct, 90);
  EXPECT_EQ(back.evaluated, 100);
  EXPECT_EQ(to_json(back), to_json(report));
}

TEST(ReportTest, AccuracyIsThatOfTheTestSet) {
  EXPECT_EQ(sample().accuracy(), 0.9);
  EXPECT_EQ(TrainReport().accuracy(), std::nullopt) << "not asked for is not 0";
}

TEST(ReportTest, PhasesHaveNames) {
  EXPECT_STREQ(to_string(Phase::data), "data");
  EXPECT_STREQ(to_string(Phase::exposed_comm), "exposed_comm");
  EXPECT_STREQ(to_string(Phase::optimizer), "optimizer");
}

TEST(MergeTest, LossesAreAveragedCountsAddedTimesTheSlowests) {
  const TrainReport job = merge({sample(1), sample(3), sample(2)});
  EXPECT_EQ(job.losses[0], 4.0);
  EXPECT_DOUBLE_EQ(job.losses[1], 1.0 / 3.0);
  EXPECT_EQ(job.samples, (std::vector<int64_t>{192, 51}));
  EXPECT_EQ(job.epochs, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(job.step_ms, sample(3).step_ms);
  EXPECT_EQ(job.phases_ms, sample(3).phases_ms) << "of the same rank as the steps";
  EXPECT_EQ(job.correct, 270);
  EXPECT_EQ(job.evaluated, 300);
  EXPECT_EQ(job.rss_peak_bytes, 15'000'000'000);
  ASSERT_EQ(job.cards.size(), 3U);
  const int64_t peaks[] = {1000, 3000, 2000};
  for (int card = 0; card < 3; ++card) {
    EXPECT_EQ(job.cards[static_cast<size_t>(card)].card, card);
    EXPECT_EQ(job.cards[static_cast<size_t>(card)].peak_bytes, peaks[card]);
  }
}

// A rank that has fewer samples counts for less, and one that has none for nothing.
TEST(MergeTest, LossesAreAveragedOverSamples) {
  std::vector<TrainReport> ranks(3, sample());
  for (size_t r = 0; r < ranks.size(); ++r) {
    ranks[r].samples = {6, 2 - static_cast<int64_t>(r)};
    ranks[r].losses = {1.0 + static_cast<double>(r), 4.0 * static_cast<double>(r)};
  }
  ranks[2].losses[1] = 0;
  const TrainReport job = merge(ranks);
  EXPECT_DOUBLE_EQ(job.losses[0], 2.0);
  EXPECT_DOUBLE_EQ(job.losses[1], 4.0 / 3);
  EXPECT_EQ(job.samples, (std::vector<int64_t>{18, 3}));
}

TEST(MergeTest, OneRankIsTheJob) {
  EXPECT_EQ(to_json(merge({sample()})), to_json(sample()));
}

TEST(MergeTest, RanksThatTookDifferentNumbersOfStepsAreNotOneJob) {
  TrainReport shorter = sample();
  shorter.losses.pop_back();
  EXPECT_EQ(error_of([&] {
              merge({sample(3), shorter});
            }),
            "ranks took different numbers of steps: 1 and 2");
}

class ReportFileTest : public testing::Test {
 protected:
  size_t files() const { return folder_.names().size(); }
  TestFolder folder_;
};

TEST_F(ReportFileTest, MetricsAreAJsonObjectALine) {
  const fs::path path = folder_ / "metrics.jsonl";
  write_metrics(sample(), path);
  std::istringstream lines(read_text(path));
  std::string line;
  for (size_t step = 0; step < 2; ++step) {
    ASSERT_TRUE(std::getline(lines, line));
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json.size(), 5U);
    EXPECT_EQ(json.at("step"), step);
    EXPECT_EQ(json.at("epoch"), sample().epochs[step]);
    EXPECT_EQ(json.at("loss"), sample().losses[step]);
    EXPECT_EQ(json.at("samples"), sample().samples[step]);
    EXPECT_EQ(json.at("step_ms"), sample().step_ms[step]);
  }
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_EQ(files(), 1U) << "nothing temporary is left";
}

TEST_F(ReportFileTest, AReportFileIsTheJson) {
  write_report(sample(), folder_ / "report.json");
  EXPECT_EQ(read_text(folder_ / "report.json"), to_json(sample()) + "\n");
}

}  // namespace
}  // namespace lockstep::training
