// Which rows are measured against each other, and by what.
#include <gtest/gtest.h>

#include <algorithm>

#include "rows/sample_rows.h"

namespace lockstep::rows {
namespace {

TEST(Jobs, AreTheSameOnEqualBatchesOfTheKindThatScalingFixes) {
  Row one = sample_row("single", "mlp", 1, 1), two = sample_row("ddp", "mlp", 2, 1);
  EXPECT_TRUE(same_job(one, two)) << "the local batch stays";
  one.scaling = "strong";
  EXPECT_FALSE(same_job(one, two));
  two.scaling = "strong";
  EXPECT_FALSE(same_job(one, two)) << "64 samples a step, and 128";
  one.global_batch = 128;
  EXPECT_TRUE(same_job(one, two));
  two.model = "convnet";
  EXPECT_FALSE(same_job(one, two));
}

TEST(Jobs, KnobsAreTheEndOfTheName) {
  Row row = sample_row("ddp", "mlp", 2, 1);
  EXPECT_EQ(knobs_of(row), "");
  row.name += "/batch:32/cap:5";
  EXPECT_EQ(knobs_of(row), "/batch:32/cap:5");
}

TEST(Jobs, ARunIsComparedByItsLowerQuartileOverTheSingleCards) {
  std::vector<Row> rows = {sample_row("single", "mlp", 1, 2),
                           sample_row("ddp", "mlp", 2, 3)};
  std::fill(rows[1].step_ms.end() - 5, rows[1].step_ms.end(),
            300);  // of nine: the median
  EXPECT_NEAR(step_over_single(rows[1], rows).value(), 1.5, 1e-9);
  EXPECT_FALSE(step_over_single(rows[0], rows).has_value());
  rows[0].repetition = 1;
  EXPECT_FALSE(step_over_single(rows[1], rows).has_value()) << "no single card beside";
}

TEST(Jobs, TheShareOfThePeakIsOfWhatTheCardsDid) {
  Row row = sample_row("ddp", "mlp", 2, 4);
  EXPECT_FALSE(tflops(row).has_value()) << "nobody counted";
  row.flops_per_step = 2'000'000'000'000;  // in 4 ms
  EXPECT_DOUBLE_EQ(*tflops(row), 500);
  EXPECT_FALSE(share_of_peak(row).has_value()) << "of an unknown one";
  row.peak_flops_per_s = 2 * 989e12;
  EXPECT_DOUBLE_EQ(*share_of_peak(row), 500 / (2 * 989.0));
  row.step_ms.resize(2);
  EXPECT_FALSE(share_of_peak(row).has_value());
}

}  // namespace
}  // namespace lockstep::rows
