// What the figures of peers are made of: ratios of repetitions, and the bound.
#include "summary/ratios.h"

#include <gtest/gtest.h>

#include <set>

#include "cases/bound.h"
#include "rows/sample_rows.h"

namespace lockstep::summary {
namespace {

using rows::sample_row;

std::string names_of(const std::vector<Ratio>& ratios) {
  std::string names;
  for (const Ratio& ratio : ratios) {
    names += ratio.model + " " + std::to_string(ratio.cards) + " " + ratio.ours + "/" +
             ratio.peer + "; ";
  }
  return names;
}

TEST(Ratios, RepetitionIsComparedWithTheSameRepetition) {
  // The machine slows down by half on the way, and both with it.
  std::vector<rows::Row> rows = {
      sample_row("ddp", "mlp", 2, 1.0, 0),
      sample_row("ddp", "mlp", 2, 2.0, 1),
      sample_row("ddp", "mlp", 2, 1.5, 2),
      sample_row("ddp-python", "mlp", 2, 4.0, 0),
      sample_row("ddp-python", "mlp", 2, 6.0, 2),
      sample_row("ddp-python", "mlp", 2, 8.8, 1),
  };
  const std::vector<Ratio> ratios = ratios_of(rows);
  ASSERT_EQ(names_of(ratios), "mlp 2 ddp/ddp-python; ");
  ASSERT_EQ(ratios[0].of_repetitions.size(), 3u);
  EXPECT_DOUBLE_EQ(ratios[0].of_repetitions[0], 4.0);
  EXPECT_DOUBLE_EQ(ratios[0].of_repetitions[1], 4.4);
  EXPECT_DOUBLE_EQ(ratios[0].of_repetitions[2], 4.0);
  const std::string table = ratio_table(ratios);
  EXPECT_NE(table.find("4.00  [4.00, 4.40]"), std::string::npos) << table;
}

TEST(Ratios, APeerIsOverTheSameLinkAndTheBoundOverNone) {
  const auto over = [](const std::string& mode, const std::string& link) {
    rows::Row row = sample_row(mode, "mlp", 2, 1.0);
    if (link.empty()) return row;
    row.options["link"] = link;
    row.name += "/link:" + link;
    return row;
  };
  EXPECT_EQ(names_of(ratios_of({over("ddp", ""), over("ddp", "1gbit"),
                                over("bound", ""), over("ddp-c10d", "1gbit")})),
            "mlp 2 ddp/link:1gbit/ddp-c10d/link:1gbit; mlp 2 ddp/bound; "
            "mlp 2 ddp/link:1gbit/bound; ");
}

TEST(Ratios, HorovodIsOverDdpOnTheSameBackend) {
  const auto over = [](const std::string& mode, const std::string& backend) {
    rows::Row row = sample_row(mode, "mlp", 2, 1.0);
    row.options["backend"] = backend;
    row.name += "/backend:" + backend;
    return row;
  };
  EXPECT_EQ(names_of(ratios_of({over("ddp", "shm"), over("ddp", "gloo"),
                                over("horovod", "gloo"),
                                sample_row("bound", "mlp", 2, 1.0)})),
            "mlp 2 ddp/backend:shm/bound; mlp 2 ddp/backend:gloo/bound; "
            "mlp 2 horovod/backend:gloo/ddp/backend:gloo; "
            "mlp 2 horovod/backend:gloo/bound; ");
}

TEST(Ratios, OnlyOfWhatWasMeasured) {
  std::vector<rows::Row> rows = {
      sample_row("single", "mlp", 1, 1.0),
      sample_row("bound", "mlp", 4, 1.0),
      sample_row("ddp", "mlp", 4, 1.1),
      sample_row("ddp", "mlp", 2, 1.1),
      sample_row("bound", "mlp", 2, 1.0, 7),
      sample_row("single-python", "mlp", 1, 2.0),
      sample_row("ddp-c10d", "convnet", 2, 1.0),
      sample_row("ddp", "convnet", 2, 1.0),
      sample_row("ddp-sharded", "convnet", 2, 1),
      sample_row("ddp-python", "mlp", 4, 1.1),
  };
  rows.back().status = "error";
  EXPECT_EQ(names_of(ratios_of(rows)),
            "mlp 1 single/single-python; mlp 4 ddp/bound; convnet 2 ddp/ddp-c10d; "
            "convnet 2 ddp-sharded/ddp-c10d; ");
  EXPECT_EQ(ratio_table({}), "");
}

TrainReport report_of(const std::vector<double>& step_ms) {
  TrainReport report;
  report.step_ms = step_ms;
  report.losses.assign(step_ms.size(), 2.0);
  report.samples.assign(step_ms.size(), 64);
  report.phases_ms["data"] = step_ms;
  return report;
}

TEST(Bound, EqualProcessesSideBySideAreAsQuickAsEach) {
  const TrainReport job =
      cases::side_by_side({report_of({1, 2, 3}), report_of({1, 2, 3})}, 2);
  EXPECT_EQ(job.step_ms, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(job.samples, (std::vector<int64_t>{128, 128, 128}));
  EXPECT_EQ(job.losses, (std::vector<double>{2, 2, 2}));
  EXPECT_TRUE(job.phases_ms.empty());
}

TEST(Bound, ProcessesThatTakeTurnsOnACoreAreHalfAsQuick) {
  // Two steps each in turn: a step takes 1 ms, or 3 where the other's turn lies before.
  const TrainReport job =
      cases::side_by_side({report_of({1, 1, 3, 1}), report_of({3, 1, 3, 1})}, 2);
  EXPECT_EQ(job.step_ms, (std::vector<double>{2, 2, 2, 2}));
}

TEST(Bound, WhoeverTookTheSteps) {
  // One is three times as fast: of six steps the first four are done after 3 ms.
  const TrainReport job =
      cases::side_by_side({report_of({1, 1, 1}), report_of({3, 3, 3})}, 2);
  EXPECT_EQ(job.step_ms, (std::vector<double>{2, 1, 6}));
}

TEST(Bound, StepsInClumpsAreEvenedOutWhereTurnsAreTaken) {
  // Four steps a turn: half of the job's steps would look three times as quick.
  std::vector<double> first, second;
  for (int turn = 0; turn < 16; ++turn) {
    first.insert(first.end(), {turn == 0 ? 1.0 : 5.0, 1, 1, 1});
    second.insert(second.end(), {5, 1, 1, 1});
  }
  const TrainReport job = cases::side_by_side({report_of(first), report_of(second)}, 1);
  ASSERT_EQ(job.step_ms.size(), 64u);
  EXPECT_DOUBLE_EQ(job.step_ms[20], 2);
  EXPECT_DOUBLE_EQ(job.step_ms[63], 2);
  EXPECT_EQ(std::set<double>(job.step_ms.begin(), job.step_ms.end()).size(), 1u);
  EXPECT_EQ(cases::side_by_side({report_of({2}), report_of({2})}, 1).step_ms.at(0), 2);
}

}  // namespace
}  // namespace lockstep::summary
