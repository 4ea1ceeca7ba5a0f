// What the page says in words of its numbers.
#include <gtest/gtest.h>

#include "reports/page.h"
#include "rows/sample_rows.h"

namespace lockstep::reports {
namespace {

using rows::sample_row;
using rows::sample_sweep;

std::string words_of(const std::vector<Row>& rows) {
  return summary(rows, charts::gather_cases(rows));
}

void expect(const std::string& html, const std::string& words) {
  EXPECT_NE(html.find(words), std::string::npos) << words << "\nis not in\n" << html;
}

void refuse(const std::string& html, const std::string& words) {
  EXPECT_EQ(html.find(words), std::string::npos) << words << "\nis in\n" << html;
}

TEST(Summary, SaysHowFastAndHowHeavyOneModelIs) {
  const std::string html = words_of(sample_sweep("mlp", 2));
  expect(html, "DDP on 4 cards: <b>3.64×</b> one card’s samples/s.");
  expect(html,
         "DataParallel on 4 cards: <b>1.43×</b> one card’s samples/s; its primary card "
         "held <b>1.82×</b> the memory of the others.");
  expect(html, "21 runs of 7 cases. ");
  expect(html, "emulated");
  // Nothing of what was not measured.
  for (const char* absent : {"over 1 model", "bucket cap", "hid", "redicted", "failed",
                             "oversubscribed", "up to"}) {
    refuse(html, absent);
  }
}

TEST(Summary, SaysARangeOverSeveralModels) {
  std::vector<Row> rows = sample_sweep("mlp", 2);
  for (const Row& row : sample_sweep("convnet", 9)) rows.push_back(row);
  for (Row& row : rows) {
    if (row.model == "convnet" && row.mode == "ddp") {
      for (double& ms : row.step_ms) ms *= 1.25;
    }
  }
  const std::string html = words_of(rows);
  expect(html,
         "DDP on 4 cards: <b>2.91×</b> to <b>3.64×</b> one card’s samples/s, "
         "over 2 models.");
  expect(html, "held up to <b>1.82×</b>");
}

TEST(Summary, SaysOverlapCapsAndPredictions) {
  std::vector<Row> rows = {sample_row("single", "mlp", 1, 8)};
  for (const auto& [cap, ms] : {std::pair("1", 10.0), {"25", 12.5}}) {
    rows.push_back(sample_row("ddp", "mlp", 2, ms));
    rows.back().options = {{"bucket-cap-mb", cap}};
    rows.back().phases_ms["comm"].assign(11, 4);
    rows.back().phases_ms["exposed_comm"].assign(11, 1);
    rows.back().predicted_step_ms = {11, 10.5, 13};
  }
  const std::string html = words_of(rows);
  expect(html, "<b>DDP</b> on 2 cards: <b>1.60×</b> <small>(1 MiB, the fastest of 2)");
  expect(html, "it hid <b>75\u00a0%</b> of its communication");
  expect(html,
         "Best bucket cap: <b>1 MiB</b>, 10.0 ms a step on 2 cards (12.5 ms at "
         "25 MiB)");
  expect(html,
         "Predicted steps of 2 cases were off by <b>11.0\u00a0%</b> on average "
         "and 12.0\u00a0% at most; 1 lay within their interval");
}

TEST(Summary, SaysWhatFailed) {
  std::vector<Row> rows = sample_sweep("mlp", 2);
  rows.push_back(sample_row("ddp", "convnet", 2, 5));
  rows.back().status = "error";
  expect(words_of(rows), "1 case failed: the table says why.");
  rows.push_back(sample_row("ddp", "convnet", 4, 5));
  rows.back().status = "waived";
  expect(words_of(rows), "1 case failed and 1 could not run here: the table says why.");
}

TEST(Summary, NamesAreText) {
  const std::string html = words_of(sample_sweep("<img src=x>", 2));
  refuse(html, "<img");
  expect(html, "&lt;img src=x&gt;");
}

}  // namespace
}  // namespace lockstep::reports
