#include "training/driver_memory.h"

#include <gtest/gtest.h>

namespace lockstep::training {
namespace {

constexpr int64_t kMiB = 1 << 20;

TrainReport report_of(size_t cards) {
  TrainReport report;
  report.cards.resize(cards);
  return report;
}

TEST(DriverMemoryTest, AnEmulatedCardHasNone) {
  TrainReport report = report_of(1);
  add_driver_memory(device::make_cards("cpu", 1, 1), 0, report);
  EXPECT_FALSE(report.cards[0].process_bytes);
  EXPECT_TRUE(report.stray_contexts.empty());
}

TEST(DriverMemoryTest, ARanksCardHasItsBytesAndAnotherDeviceIsStray) {
  TrainReport report = report_of(1);
  add_held({{0, 412 * kMiB}, {1, 900 * kMiB}, {3, {}}}, {1}, 1, 4711, report);
  EXPECT_EQ(report.cards[0].process_bytes, 900 * kMiB);
  EXPECT_EQ(report.stray_contexts,
            (std::vector<std::string>{
                "rank 1 (pid 4711) holds 412 MiB on cuda:0, which is not its card: a "
                "stray context; put its CardScope before the first call that touches "
                "CUDA",
                "rank 1 (pid 4711) holds memory on cuda:3, which is not its card: a "
                "stray context; put its CardScope before the first call that touches "
                "CUDA"}));
}

TEST(DriverMemoryTest, DataParallelsCardsAreAllItsOwn) {
  TrainReport report = report_of(3);
  add_held({{0, 10}, {1, {}}}, {0, 0, 1}, 0, 4711, report);
  EXPECT_EQ(report.cards[0].process_bytes, 10);
  EXPECT_EQ(report.cards[1].process_bytes, 10) << "the first's other half";
  EXPECT_FALSE(report.cards[2].process_bytes) << "the driver keeps it to itself";
  EXPECT_TRUE(report.stray_contexts.empty());
}

TEST(DriverMemoryTest, TheJobTellsOfEveryRanks) {
  std::vector<TrainReport> ranks = {report_of(1), report_of(1)};
  ranks[1].step_ms = {5};  // the slowest, whose report the job's is made of
  add_held({{0, 7}}, {0}, 0, 1, ranks[0]);
  add_held({{0, 8 * kMiB}, {1, 9 * kMiB}}, {1}, 1, 2, ranks[1]);
  const TrainReport job = report_from_json(to_json(merge(ranks)));
  EXPECT_EQ(job.cards[0].process_bytes, 7);
  EXPECT_EQ(job.cards[1].process_bytes, 9 * kMiB);
  ASSERT_EQ(job.stray_contexts.size(), 1U);
  EXPECT_EQ(job.stray_contexts[0].find("rank 1 (pid 2) holds 8 MiB on cuda:0"), 0U);
}

}  // namespace
}  // namespace lockstep::training
