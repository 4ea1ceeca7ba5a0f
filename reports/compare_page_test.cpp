// Two runs compared: the figures, and the page that `report A B` makes of them.
#include <gtest/gtest.h>

#include "reports/compare.h"
#include "reports/test_page.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;
using rows::Row;
using rows::sample_row;
using rows::sample_sweep;

// The same sweep on a machine twice as slow, where DDP on 4 cards lost half as much.
std::vector<Row> later_run() {
  std::vector<Row> rows = sample_sweep("mlp", 4);
  for (Row& row : rows) {
    row.commit = "89abcdef";
    if (row.mode == "ddp" && row.cards == 4) {
      for (double& ms : row.step_ms) ms *= 1.5;
    }
  }
  return rows;
}

const Compared& find(const std::vector<Compared>& cases, const std::string& name) {
  for (const Compared& each : cases) {
    if (each.name == name) return each;
  }
  throw std::runtime_error("no case " + name);
}

TEST(Compare, AStepIsOverItsOwnRunsSingleCard) {
  const std::vector<Row> then = sample_sweep("mlp", 2), now = later_run();
  const std::vector<Compared> cases = compare(then, now);
  ASSERT_EQ(cases.size(), 7u);
  const Compared& same = find(cases, "ddp/mlp/cards:2");
  EXPECT_NEAR(*same.change(), 0, 1e-9) << "the machine's half speed is left out";
  EXPECT_EQ(same.verdict(), Verdict::overlap);
  const Compared& slower = find(cases, "ddp/mlp/cards:4");
  EXPECT_NEAR(slower.then.over_single->median, 1.1, 1e-9);
  EXPECT_NEAR(slower.now.over_single->median, 1.65, 1e-9);
  EXPECT_NEAR(*slower.change(), 0.5, 1e-9);
  EXPECT_EQ(slower.verdict(), Verdict::slower);
  EXPECT_EQ(compare(now, then)[6].verdict(), Verdict::faster);
  EXPECT_FALSE(find(cases, "single/mlp/cards:1").change().has_value());
}

TEST(Compare, EveryBatchIsOverItsOwnSingleCard) {
  std::vector<Row> rows;
  for (const int64_t batch : {32, 64}) {
    for (const char* mode : {"single", "ddp"}) {
      const bool single = std::string(mode) == "single";
      Row row = sample_row(mode, "mlp", single ? 1 : 2, batch * (single ? 1.0 : 1.5));
      row.local_batch = batch;
      row.name += "/batch:" + std::to_string(batch);
      rows.push_back(row);
    }
  }
  for (const Compared& each : compare(rows, rows)) {
    if (each.mode == "single") continue;
    EXPECT_NEAR(each.now.over_single->median, 1.5, 1e-9) << each.name;
  }
}

TEST(Compare, WhatOneRunLacksHasNoChange) {
  std::vector<Row> then = {sample_row("single", "mlp", 1, 2),
                           sample_row("ddp", "mlp", 2, 3)};
  std::vector<Row> now = {sample_row("ddp", "mlp", 2, 3),
                          sample_row("dp", "mlp", 2, 3)};
  const std::vector<Compared> cases = compare(then, now);
  ASSERT_EQ(cases.size(), 3u);
  for (const Compared& each : cases) EXPECT_FALSE(each.change().has_value());
  EXPECT_EQ(find(cases, "dp/mlp/cards:2").then.repetitions, 0);
  EXPECT_TRUE(change_data(cases).empty());
  EXPECT_EQ(rates_data(cases).size(), 4u);
}

TEST(ComparePage, ShowsBothRunsAndWhatChanged) {
  const ScratchFolder scratch{fs::path(testing::TempDir())};
  const fs::path then = scratch.path() / "old<b>.jsonl", now = scratch.path() / "now";
  fs::create_directory(now);
  write_rows(then, sample_sweep("mlp", 2));
  write_rows(now / "runs.jsonl", later_run());
  const Finished made =
      run_program({report_program(), then.string(), now.string()}, scratch.path());
  ASSERT_EQ(made.status, 0) << made.errors;
  EXPECT_FALSE(fs::exists(now / "index.html"));
  const std::string page = read_file(now / "compare.html");
  for (const char* words :
       {"Of 6 cases in both runs <b>0</b> got faster and <b>1</b> slower by more than "
        "their ranges. The largest change: ddp/mlp/cards:4, <b>+50.0\u00a0%</b> a "
        "step.",
        "0123abcd", "89abcdef", "old&lt;b&gt;.jsonl"}) {
    EXPECT_TRUE(contains(page, words)) << words;
  }
  EXPECT_FALSE(contains(page, "old<b>"));
  TestBrowser browser(scratch.path());
  browser.resize(390);
  browser.look("dark");
  browser.open(now / "compare.html", "#mode=ddp");
  browser.draw_all();
  EXPECT_EQ(browser.evaluate("[...document.querySelectorAll('figure')].map((f) => "
                             "f.dataset.chart + ' ' + f.dataset.drawn)"),
            nlohmann::json({"compare_change yes", "compare_rates yes"}));
  EXPECT_EQ(browser.evaluate("[...document.querySelectorAll('tr[data-id]')].filter((r) "
                             "=> !r.hidden).length"),
            3);
  EXPECT_EQ(browser.evaluate("document.documentElement.scrollWidth"), 390);
  EXPECT_TRUE(browser.problems().empty()) << browser.problems()[0];
}

}  // namespace
}  // namespace lockstep::reports
