#include "buckets/bucket_table.h"

#include <gtest/gtest.h>

#include "buckets/words.h"
#include "tests/run_times.h"

namespace lockstep::buckets {
namespace {

// Two ranks, of which rank 1 is ready 2 ms later; backward ends 10 ms after begin.
timing::RunTimes by_hand() {
  timing::RunTimes run;
  run.world_size = 2;
  run.hosts = {"a", "a"};
  run.clocks = {{}, {}};
  for (int64_t step = 0; step < 10; ++step) {
    const double begin = 20000.0 * static_cast<double>(step);
    for (int rank = 0; rank < 2; ++rank) {
      const double late = 2000.0 * rank;
      run.steps.push_back(
          {step,
           rank,
           begin,
           begin + 3000,
           begin + 10000,
           begin + 14000,
           {{1 << 20, begin + 5000 + late, begin + 5000 + late, begin + 9000},
            {1 << 21, begin + 8000 + late, begin + 8000 + late, begin + 14000}}});
    }
  }
  return run;
}

TEST(BucketTable, SaysWhatWasHiddenAndWhatWasWaitedFor) {
  const BucketTable table = bucket_table(by_hand());
  EXPECT_EQ(table.steps, 7) << "without the first three";
  EXPECT_EQ(table.others, 0);
  EXPECT_EQ(table.forward_ms, 3);
  EXPECT_EQ(table.backward_ms, 7);
  EXPECT_EQ(table.exposed_ms, 4);
  EXPECT_EQ(table.comm_ms, (9.0 + 6.0) / 2)
      << "rank 0: 5 to 14; rank 1: 7 to 9, 10 to 14";
  EXPECT_DOUBLE_EQ(table.overlap(), 1 - 4 / 7.5);
  ASSERT_EQ(table.rows.size(), 2U);
  const BucketRow& last = table.rows[1];
  EXPECT_EQ(last.bytes, 1 << 21);
  EXPECT_EQ(last.ready_ms, 9);
  EXPECT_EQ(last.launch_ms, 9);
  EXPECT_EQ(last.finish_ms, 14);
  EXPECT_EQ(last.waits_ms, 1) << "2 for rank 0, none for rank 1";
  EXPECT_EQ(last.hidden_ms, 1) << "2 for rank 0, none for rank 1";
  EXPECT_EQ(last.exposed_ms, 4);
  EXPECT_NE(to_markdown(table).find(
                "| 1 | 2.00 | 9.00 | 9.00 | 14.00 | 5.00 | 1.00 | 1.00 | 4.00 |"),
            std::string::npos)
      << to_markdown(table);
}

TEST(BucketTable, LeavesOutStepsOfOtherBuckets) {
  timing::RunTimes run = by_hand();
  run.steps[12].buckets.resize(1);     // rank 0 in step 6
  run.steps[16].buckets[0].bytes = 7;  // both in step 8
  run.steps[17].buckets[0].bytes = 7;
  const BucketTable table = bucket_table(run);
  EXPECT_EQ(table.steps, 5);
  EXPECT_EQ(table.others, 2);
  EXPECT_EQ(table.rows[0].bytes, 1 << 20);
  EXPECT_NE(step_in_words(run, table).find("2 steps had other buckets"),
            std::string::npos);
}

TEST(BucketTable, AReplayLongerThanTheRunIsExplained) {
  timing::RunTimes run = by_hand();
  const std::string note = "It is longer, for the replay takes";
  EXPECT_EQ(step_in_words(run, bucket_table(run)).find(note), std::string::npos);
  for (timing::StepTimes& step : run.steps) step.buckets[0].finish_us += 1e6;
  EXPECT_NE(step_in_words(run, bucket_table(run)).find(note), std::string::npos);
}

TEST(BucketTable, ARunWithoutCommunicationHasNoOverlap) {
  timing::RunTimes run = by_hand();
  for (timing::StepTimes& step : run.steps) step.buckets.clear();
  const BucketTable table = bucket_table(run);
  EXPECT_EQ(table.rows.size(), 0U);
  EXPECT_EQ(table.overlap(), 0);
}

}  // namespace
}  // namespace lockstep::buckets
