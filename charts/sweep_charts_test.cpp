// The charts that a plain sweep does not fill: overlap, bucket caps, collectives,
// predictions, a step's lanes; and what a large sweep leaves out.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "charts/charts.h"
#include "rows/sample_rows.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;
using rows::sample_row;

Row with_comm(const std::string& mode, double comm_ms, double exposed_ms) {
  Row row = sample_row(mode, "mlp", 2, 10);
  row.phases_ms["comm"] = std::vector<double>(11, comm_ms);
  row.phases_ms["exposed_comm"] = std::vector<double>(11, exposed_ms);
  return row;
}

TEST(Overlap, IsThePartOfCommunicationThatIsNotExposed) {
  const std::vector<Row> rows = {with_comm("ddp", 4, 1), with_comm("ddp-flat", 4, 5),
                                 with_comm("dp", 4, 1), with_comm("ddp-local", 0, 0)};
  const json data = overlap_data(gather_cases(rows));
  ASSERT_EQ(data.size(), 2u) << "DataParallel has none, nor has what does not speak";
  EXPECT_EQ(data[0]["share"], 0.75);
  EXPECT_EQ(data[0]["label"], "75 %");
  EXPECT_EQ(data[1]["share"], 0) << "waiting for others is longer than speaking";
}

std::vector<Row> cap_sweep() {
  std::vector<Row> rows;
  for (const auto& [cap, ms] :
       {std::pair("25", 12.0), {"0", 14.0}, {"1", 11.0}, {"5", 10.0}}) {
    for (const char* backend : {"gloo", "shm"}) {
      rows.push_back(
          sample_row("ddp", "mlp", 2, backend == std::string("shm") ? ms : 2 * ms));
      rows.back().options = {{"bucket-cap-mb", cap}, {"backend", backend}};
    }
  }
  return rows;
}

TEST(Caps, ACurveGoesFromTheSmallestCapAndMarksTheBest) {
  const std::vector<Row> rows = cap_sweep();
  const json data = caps_data(gather_cases(rows));
  ASSERT_EQ(data.size(), 8u);
  std::vector<std::string> caps;
  for (const json& record : data) {
    if (record["curve"] == "ddp shm · 2 cards") caps.push_back(record["cap"]);
    EXPECT_EQ(record["best"], record["cap"] == "5") << record;
  }
  EXPECT_EQ(caps, (std::vector<std::string>{"0", "1", "5", "25"}));
}

TEST(Caps, OneCapIsNoCurve) {
  std::vector<Row> rows = cap_sweep();
  rows.resize(2);
  EXPECT_TRUE(caps_data(gather_cases(rows)).empty());
}

TEST(Predicted, IsOffByAPartOfTheMeasuredStep) {
  std::vector<Row> rows = {sample_row("ddp", "mlp", 2, 10),
                           sample_row("ddp", "mlp", 4, 10)};
  rows[0].predicted_step_ms = {11, 10.5, 12};
  const json data = predicted_data(gather_cases(rows));
  ASSERT_EQ(data.size(), 1u);
  EXPECT_NEAR(data[0]["off"].get<double>(), 0.1, 1e-9);
  EXPECT_NEAR(data[0]["off_low"].get<double>(), 0.05, 1e-9);
  EXPECT_EQ(data[0]["held"], "no");
}

TEST(Lanes, SpansLieInEachOtherAndCommunicationIsNamed) {
  std::vector<Row> rows = {sample_row("ddp", "mlp", 2, 10)};
  rows::add_sample_lanes(rows[0], 10);
  rows::StepLanesRow& step = *rows[0].step_lanes;
  step.names.push_back("linear");
  step.lane.push_back(0);
  step.name.push_back(4);
  step.begin_ms.push_back(1);
  step.end_ms.push_back(2);
  const json data = lanes_data(gather_cases(rows));
  ASSERT_EQ(data.size(), 9u);
  int inner = 0, buckets = 0;
  for (const json& record : data) {
    EXPECT_EQ(record["panel"], "mlp · ddp · 2 cards");
    if (record["what"] == "linear") inner = record["size"];
    if (record["phase"] == "communication") buckets += record["label"] == "0";
  }
  EXPECT_EQ(inner, 13) << "inside of the forward pass it is thinner";
  EXPECT_EQ(buckets, 2);
}

TEST(Lanes, ManySpansAreThinnedToTheLongest) {
  std::vector<Row> rows = {sample_row("ddp", "mlp", 2, 10)};
  rows::StepLanesRow step;
  step.lanes = {"card 0"};
  step.names = {"kernel"};
  for (int i = 0; i < 5000; ++i) {
    step.lane.push_back(0);
    step.name.push_back(0);
    step.begin_ms.push_back(2 * i);
    step.end_ms.push_back(2 * i + (i == 4321 ? 1.5 : 1e-3 * (1 + i % 1000)));
  }
  rows[0].step_lanes = step;
  const json data = lanes_data(gather_cases(rows));
  EXPECT_LE(data.size(), 240u);
  double longest = 0;
  for (const json& record : data) longest = std::max(longest, double(record["ms"]));
  EXPECT_EQ(longest, 1.5);
}

class CollectivesFile : public testing::Test {
 protected:
  void write(const std::string& text) { std::ofstream(path_) << text; }
  ~CollectivesFile() override { std::remove(path_.c_str()); }
  const std::string path_ = testing::TempDir() + "collectives_of_charts.jsonl";
};

std::string line(const std::string& collective, const std::string& algorithm,
                 const std::string& bytes) {
  return R"({"schema":1,"backend":"shm","ranks":2,"collective":")" + collective +
         R"(","algorithm":")" + algorithm + R"(","bytes":)" + bytes +
         R"(,"time_us":2,"busbw_gb_per_s":3.5,"wrong":0})" + "\n";
}

TEST_F(CollectivesFile, MakesACurveAndTheLineOfCopies) {
  write(line("memcpy", "none", "4096") + "\n" + line("all_reduce", "ring", "4096") +
        line("all_reduce", "backend", "1048576") + line("all_reduce", "ring", "0"));
  const json data = busbw_data(read_collectives(path_));
  ASSERT_EQ(data.size(), 3u) << "a size of 0 has no place on a logarithm";
  EXPECT_EQ(data[0]["curve"], "shm ring · 2 ranks");
  EXPECT_EQ(data[1]["curve"], "shm · 2 ranks");
  EXPECT_EQ(data[1]["size"], "1.00 MiB");
  EXPECT_EQ(data[2]["kind"], "memcpy");
}

TEST_F(CollectivesFile, IsRefusedByLineAndKey) {
  const auto refused = [this](const std::string& text, const std::string& words) {
    write(line("all_reduce", "ring", "8") + text);
    try {
      read_collectives(path_);
      ADD_FAILURE() << "taken: " << text;
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos)
          << error.what();
    }
  };
  refused("{\"schema\":1", ":2: not an object of JSON");
  refused("[]", ":2: not an object");
  refused(line("all_reduce", "ring", "\"8\""), "bytes");
  refused("{\"schema\":2}", ":2");
}

// One case of each mode, cards and backend, whatever the caps.
TEST(ShownCases, OfManyVariantsTheFastestIsShown) {
  std::vector<Row> rows;
  for (int cards : {1, 2, 4}) {
    for (int cap = 0; cap < 10; ++cap) {
      rows.push_back(sample_row("ddp", "mlp", cards, 20 - cap));
      rows.back().options = {{"bucket-cap-mb", std::to_string(cap)},
                             {"backend", "shm"}};
    }
  }
  const std::vector<Case> cases = gather_cases(rows);
  ASSERT_EQ(cases.size(), 30u);
  const std::vector<Case> shown = shown_cases(cases);
  ASSERT_EQ(shown.size(), 3u);
  EXPECT_EQ(shown[0].variant, "bucket-cap-mb=9");
  EXPECT_EQ(cases[static_cast<size_t>(shown[2].id)].cards, 4);
}

TEST(ShownCases, ALargeSweepsRecordsAreFewAndSmall) {
  const std::vector<Row> rows = rows::large_sweep(/*steps=*/400);
  EXPECT_GT(rows.size(), 1990u);
  size_t bytes = 0;
  for (const ChartData& chart : run_chart_data(gather_cases(rows), {})) {
    bytes += chart.records.dump().size();
  }
  EXPECT_LT(bytes, 1'300'000u);
}

}  // namespace
}  // namespace lockstep::charts
