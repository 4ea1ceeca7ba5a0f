#include "charts/charts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "rows/sample_rows.h"

namespace lockstep::charts {
namespace {

using rows::add_sample_lanes;
using rows::add_sample_timelines;
using rows::kSampleMiB;
using rows::sample_row;
using rows::sample_sweep;

using nlohmann::json;

// The one record with all of these values.
json only(const json& data, const json& wanted) {
  json found;
  int count = 0;
  for (const json& record : data) {
    bool same = true;
    for (const auto& [key, value] : wanted.items()) {
      same = same && record.contains(key) && record[key] == value;
    }
    if (same) {
      found = record;
      ++count;
    }
  }
  EXPECT_EQ(count, 1) << wanted;
  return found;
}

const Case& find(const std::vector<Case>& cases, const std::string& series, int cards) {
  for (const Case& each : cases) {
    if (each.series == series && each.cards == cards) return each;
  }
  throw std::runtime_error("no case " + series);
}

std::filesystem::path specs() {
  return std::filesystem::path(std::getenv("LOCKSTEP_SOURCE")) / "charts/specs";
}

TEST(Cases, GatherRepetitionsInReadingOrder) {
  const std::vector<Row> rows = sample_sweep("mlp", 2);
  const std::vector<Case> cases = gather_cases(rows);
  ASSERT_EQ(cases.size(), 7u);
  EXPECT_EQ(cases[0].series, "single");
  EXPECT_EQ(cases[1].series, "dp");
  EXPECT_EQ(cases[3].cards, 4);
  EXPECT_EQ(cases[6].series, "ddp");
  EXPECT_EQ(cases[6].ok.size(), 3u);
  EXPECT_EQ(cases[6].typical->repetition, 1);  // of 1.8, 2.0, 2.2 ms the middle one
}

TEST(Cases, EfficiencyIsAgainstTheSingleCard) {
  const std::vector<Row> rows = sample_sweep("mlp", 2);
  const std::vector<Case> cases = gather_cases(rows);
  const Case& ddp = find(cases, "ddp", 4);
  EXPECT_NEAR(ddp.samples_per_second->median, 256 / 2.2e-3, 1e-6);
  EXPECT_NEAR(ddp.samples_per_second->low, 256 / 2.42e-3, 1e-6);
  EXPECT_NEAR(ddp.samples_per_second->high, 256 / 1.98e-3, 1e-6);
  EXPECT_NEAR(*ddp.speed_up, 4 / 1.1, 1e-9);
  EXPECT_NEAR(*ddp.scaling_efficiency, 1 / 1.1, 1e-9);
  EXPECT_NEAR(*find(cases, "dp", 4).scaling_efficiency, 1 / 2.8, 1e-9);
}

TEST(Cases, UnlikeHardwareIsNoBaseline) {
  std::vector<Row> rows = {sample_row("single", "mlp", 1, 2),
                           sample_row("ddp", "mlp", 2, 2)};
  EXPECT_TRUE(gather_cases(rows)[1].speed_up.has_value());
  rows[0].threads_per_card = 2;
  EXPECT_FALSE(gather_cases(rows)[1].speed_up.has_value());
  rows[0].threads_per_card = 1;
  rows[0].options["precision"] = "fp64";
  EXPECT_TRUE(gather_cases(rows)[1].speed_up.has_value());  // ddp does not say
  rows[1].options["precision"] = "fp32";
  EXPECT_FALSE(gather_cases(rows)[1].speed_up.has_value());
}

TEST(Cases, OptionsThatDifferMakeCasesOfTheirOwn) {
  std::vector<Row> rows = {sample_row("ddp", "mlp", 2, 2),
                           sample_row("ddp", "mlp", 2, 3)};
  rows[0].options = {{"reducer", "flat"}, {"lr", "0.1"}};
  rows[1].options = {{"reducer", "naive"}, {"lr", "0.1"}};
  const std::vector<Case> cases = gather_cases(rows);
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[0].series, "ddp reducer=flat");
  EXPECT_EQ(cases[1].series, "ddp reducer=naive");
}

TEST(Cases, OnlyOkRowsGiveFigures) {
  std::vector<Row> rows = sample_sweep("mlp", 2);
  rows.push_back(sample_row("ddp", "mlp", 4, 0.001, 3));
  rows.back().status = "error";
  const std::vector<Case> cases = gather_cases(rows);
  EXPECT_EQ(find(cases, "ddp", 4).failed.size(), 1u);
  EXPECT_NEAR(find(cases, "ddp", 4).samples_per_second->high, 256 / 1.98e-3, 1e-6);
}

TEST(Throughput, IdealIsOneCardTimesCards) {
  const std::vector<Row> rows = sample_sweep("mlp", 2);
  const json data = throughput_data(gather_cases(rows));
  const double single =
      only(data, {{"kind", "measured"}, {"series", "single"}})["value"].get<double>();
  EXPECT_DOUBLE_EQ(single, 32000);
  for (int cards : {1, 2, 4}) {
    const json ideal = only(data, {{"kind", "ideal"}, {"cards", cards}});
    EXPECT_DOUBLE_EQ(ideal["value"].get<double>(), 32000.0 * cards);
  }
  EXPECT_EQ(only(data, {{"series", "ddp"}, {"cards", 4}})["efficiency_text"], "91 %");
}

TEST(Memory, BarsStackToThePeakAndThePrimaryIsMarked) {
  const std::vector<Row> rows = sample_sweep("mlp", 2);
  const json data = memory_data(gather_cases(rows));
  const json primary =
      only(data, {{"kind", "card"}, {"case", "dp · 4 cards"}, {"card", 0}});
  EXPECT_EQ(primary["primary"], true);
  EXPECT_EQ(primary["card_name"], "card 0 (primary)");
  EXPECT_DOUBLE_EQ(primary["high"].get<double>(), 20);
  const json top = only(data, {{"kind", "segment"},
                               {"case", "dp · 4 cards"},
                               {"card", 0},
                               {"category", "gathered outputs"}});
  EXPECT_DOUBLE_EQ(top["low"].get<double>(), 16);
  EXPECT_DOUBLE_EQ(top["high"].get<double>(), 20);
  EXPECT_EQ(
      only(data, {{"kind", "card"}, {"case", "dp · 4 cards"}, {"card", 3}})["primary"],
      false);
  EXPECT_EQ(only(data, {{"kind", "card"}, {"case", "single · 1 card"}})["primary"],
            false);
  const json label = only(
      data,
      {{"kind", "case"}, {"mode_label", "dp"}, {"detail_label", "4 cards\n×1.82"}});
  EXPECT_LT(label["left"].get<double>(), primary["left"].get<double>() + 1e-9);
}

TEST(Memory, WhatTheLedgerDidNotNameIsShown) {
  std::vector<Row> rows = {sample_row("single", "mlp", 1, 2)};
  rows[0].memory = {{0, 10 * kSampleMiB, {{"parameters", 4 * kSampleMiB}}}};
  const json data = memory_data(gather_cases(rows));
  EXPECT_DOUBLE_EQ(only(data, {{"category", "not attributed"}})["mib"].get<double>(),
                   6);
}

TEST(Phases, PartsMakeUpTheStep) {
  const std::vector<Row> rows = sample_sweep("mlp", 2);
  const json data = phases_data(gather_cases(rows));
  const json red =
      only(data, {{"case", "dp · 2 cards"}, {"phase", "exposed communication"}});
  EXPECT_NEAR(red["ms"].get<double>(), 0.4 * 3.2, 1e-9);
  EXPECT_NEAR(red["share"].get<double>(), 0.4, 1e-9);
  EXPECT_NEAR(
      only(data, {{"kind", "total"}, {"case", "dp · 2 cards"}})["high"].get<double>(),
      3.2, 1e-9);
}

TEST(Losses, RunAgainstSamplesSeenAndSkipWhatIsNoNumber) {
  std::vector<Row> rows = {sample_row("dp", "mlp", 2, 2)};
  rows[0].losses = {3, std::nan(""), 1};
  const json data = losses_data(gather_cases(rows));
  ASSERT_EQ(data.size(), 2u);
  EXPECT_EQ(data[1]["step"], 3);
  EXPECT_EQ(data[1]["samples"], 384);
  rows[0].losses.assign(5000, 1.0);
  EXPECT_LE(losses_data(gather_cases(rows)).size(), 301u);
}

TEST(Scales, KeepTheColoursOfWhatIsThere) {
  json spec = {{"color",
                {{"field", "series"},
                 {"scale",
                  {{"domain", {"single", "dp", "ddp"}},
                   {"range", {"grey", "orange", "blue"}}}}}}};
  fit_scale(spec, "series", {"dp", "ddp reducer=flat", "ddp reducer=naive"});
  const json& scale = spec["color"]["scale"];
  EXPECT_EQ(scale["domain"], json({"dp", "ddp reducer=flat", "ddp reducer=naive"}));
  EXPECT_EQ(scale["range"][0], "orange");
  EXPECT_EQ(scale["range"][1], "blue");
  EXPECT_NE(scale["range"][2], "blue");
}

TEST(Charts, SpecificationsAreFilledAndSayWhatIsEmulated) {
  std::vector<Row> rows = sample_sweep("mlp", 2);
  add_sample_timelines(rows.front());
  add_sample_lanes(rows.front(), 2);
  const std::vector<Case> cases = gather_cases(rows);
  const std::vector<Chart> charts =
      make_charts(run_chart_data(cases, {}), cases, specs());
  ASSERT_EQ(charts.size(), 10u);
  for (const Chart& chart : charts) {
    // No case has a bucket cap, a collective's own time or a file of collectives.
    const bool none =
        chart.name == "caps" || chart.name == "overlap" || chart.name == "busbw";
    EXPECT_EQ(chart.empty, none) << chart.name;
    EXPECT_FALSE(chart.caption.empty());
    const json spec = json::parse(chart.spec);
    EXPECT_EQ(spec["data"]["name"], chart.name);
    EXPECT_EQ(spec["datasets"][chart.name].empty(), none);
    EXPECT_EQ(spec["title"]["subtitle"].back(),
              "Emulated cards: 1 thread each, on Example CPU 9000.");
    // The file itself holds no data.
    std::ifstream file(specs() / (chart.name + ".vl.json"));
    EXPECT_FALSE(json::parse(file).contains("datasets"));
  }
  const json throughput = json::parse(charts[0].spec);
  EXPECT_EQ(throughput["spec"]["encoding"]["x"]["axis"]["values"], json({1, 2, 4}));
}

TEST(Timeline, LanesStackToTheirPeakOverTheStagesOfTheStep) {
  std::vector<Row> rows = sample_sweep("mlp", 2);
  EXPECT_TRUE(timeline_data(gather_cases(rows)).empty());
  for (Row& row : rows) {
    if (row.repetition == 0) add_sample_timelines(row);
  }
  const json data = timeline_data(gather_cases(rows));
  std::set<std::string> panels;
  for (const json& record : data) panels.insert(record["panel"]);
  EXPECT_EQ(panels,
            (std::set<std::string>{"mlp · single · 1 card", "mlp · dp · 4 cards",
                                   "mlp · ddp · 4 cards"}))
      << "of each mode the most cards";
  // 2 + 2 + 2 + 6 + 4 + 4 MiB; half of the 6 of activations come in the middle.
  const json primary = {{"case", "dp · 4 cards"}, {"card_name", "card 0 (primary)"}};
  json wanted = primary;
  wanted["kind"] = "card";
  const json card = only(data, wanted);
  EXPECT_EQ(card["peak"], 20);
  EXPECT_EQ(card["peak_x"], 0.5);
  EXPECT_EQ(card["label"], "card 0 (primary) · 20.0 MiB");
  std::vector<double> high;
  std::vector<double> x;
  for (const json& record : data) {
    if (record["kind"] != "layer" || record["category"] != "activations") continue;
    if (record["case"] != primary["case"]) continue;
    if (record["card_name"] != primary["card_name"]) continue;
    x.push_back(record["x"]);
    high.push_back(record["high"].get<double>() - record["low"].get<double>());
  }
  EXPECT_EQ(x, (std::vector<double>{0, 0.1, 0.5, 0.7, 1}));
  EXPECT_EQ(high, (std::vector<double>{0, 3, 6, 0, 0}));
  wanted["kind"] = "stage";
  wanted["stage"] = "backward";
  EXPECT_EQ(only(data, wanted)["x"], 0.5);
  EXPECT_EQ(only(data, wanted)["right"], 0.8);
}

TEST(Timeline, ThinningKeepsEveryPeak) {
  std::vector<Row> rows = {sample_row("single", "mlp", 1, 2)};
  TimelineRow line;
  line.categories = {"activations"};
  line.stages = {"forward"};
  double peak = 0;
  for (int i = 0; i < 20000; ++i) {
    line.ms.push_back(i);
    line.category.push_back(0);
    line.stage.push_back(0);
    // Up and down; one peak of one event stands out.
    const int64_t size = i / 2 == 6789 ? 8 : 1 + i / 2 % 3;
    line.bytes.push_back((i % 2 == 0 ? size : -size) * kSampleMiB);
    peak = std::max(peak, static_cast<double>(size));
  }
  rows[0].memory[0].timeline = line;
  const json data = timeline_data(gather_cases(rows));
  double highest = 0;
  for (const json& record : data) {
    if (record["kind"] == "layer") highest = std::max(highest, double(record["high"]));
  }
  EXPECT_EQ(highest, peak);
  EXPECT_LE(data.size(), 400U);
}

}  // namespace
}  // namespace lockstep::charts
