// Clocks that are off by a known amount: what is read must hold to the bound that comes
// with it, however long the answers took.
#include "timing/clock_offset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

#include "shm/thread_groups.h"
#include "timing/gathered.h"

namespace lockstep::timing {
namespace {

// A rank's made-up clock beside the true one.
struct MadeUp {
  double ahead_us;
  double pace;

  double of(double true_us) const { return ahead_us + pace * true_us; }
};

MadeUp clock_of(int rank) {
  std::minstd_rand random(static_cast<unsigned>(rank) + 7);
  const auto up_to_1 = [&] { return static_cast<double>(random() % 2001) / 1000 - 1; };
  return {up_to_1() * 3e6, 1 + up_to_1() * 1e-3};
}

// The true time since the test began, for doubles' sake.
double now_us() {
  static const double began = steady_us();
  return steady_us() - began;
}

void expect_within_bound(const AlignedClock& aligned, const MadeUp& own, double when) {
  // The clocks' paces differ by up to 2 in 1,000 while a question is under way.
  const double bound = aligned.offset().uncertainty_us * 1.01 + 0.1;
  EXPECT_NEAR(aligned.of_rank_0(own.of(when)), clock_of(0).of(when), bound);
}

class Backends : public ::testing::TestWithParam<std::string> {};

TEST_P(Backends, AClockThatIsOffIsFollowedToWithinItsBound) {
  shm::on_ranks(
      3,
      [](shm::GroupPtr& group) {
        const MadeUp own = clock_of(group->rank());
        std::minstd_rand random(static_cast<unsigned>(group->rank()));
        // Whoever looks at the clock is sometimes held up, before or after.
        const OwnClock clock = [&] {
          const std::chrono::microseconds before(random() % 3 == 0 ? 300 : 0);
          const std::chrono::microseconds after(random() % 3 == 0 ? 300 : 0);
          std::this_thread::sleep_for(before);
          const double us = own.of(now_us());
          std::this_thread::sleep_for(after);
          return us;
        };
        const double first_us = now_us();
        const ClockReading before = read_clocks(*group, at::kCPU, clock, 20);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        const ClockReading after = read_clocks(*group, at::kCPU, clock, 20);
        EXPECT_GE(before.own_us, own.of(first_us));
        EXPECT_LE(after.own_us, own.of(now_us()));
        const AlignedClock aligned(before, after);
        const double from = (before.own_us - own.ahead_us) / own.pace;
        const double to = (after.own_us - own.ahead_us) / own.pace;
        for (int i = 0; i <= 10; ++i) {
          expect_within_bound(aligned, own, from + (to - from) * i / 10);
        }
        if (group->rank() == 0) {
          EXPECT_EQ(aligned.offset().offset_us, 0);
          EXPECT_EQ(aligned.offset().uncertainty_us, 0);
        } else {
          EXPECT_GT(aligned.offset().uncertainty_us, 0);
        }
      },
      GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, Backends, ::testing::Values("gloo", "shm"));

TEST(AlignedClock, InterpolatesAndNeverRunsBackwards) {
  const AlignedClock even({100, {5, 1}}, {200, {15, 3}});
  EXPECT_EQ(even.of_rank_0(100), 105);
  EXPECT_EQ(even.of_rank_0(150), 160);
  EXPECT_EQ(even.of_rank_0(200), 215);
  EXPECT_EQ(even.offset().offset_us, 10);
  EXPECT_EQ(even.offset().uncertainty_us, 3);
  // Two readings at once, each as wrong as it may be.
  const AlignedClock wild({100, {50, 60}}, {110, {-40, 60}});
  EXPECT_GT(wild.of_rank_0(105), wild.of_rank_0(104));
  const AlignedClock once({100, {5, 1}}, {100, {5, 1}});
  EXPECT_EQ(once.of_rank_0(300), 305);
}

// A step of one rank, `at` its own clock.
StepTimes step_at(double at, int64_t number, int rank) {
  return {number, rank, at, at + 1, at + 2, at + 4, {{8, at + 1.5, at + 2, at + 3}}};
}

TEST(Gathered, StepsOfAllRanksStandOnRank0sClockFromItsFirst) {
  shm::on_ranks(3, [](shm::GroupPtr& group) {
    const int rank = group->rank();
    // Rank r's clock is r seconds behind, and its step begins r us after rank 0's.
    const double behind = 1e6 * rank;
    std::vector<StepTimes> steps;
    for (int64_t i = 0; i < 3 - (rank == 2); ++i) {
      const double since = 10.0 * static_cast<double>(i) + rank;
      steps.push_back(step_at(5e9 + since - behind, 4 + i, rank));
    }
    const ClockReading reading = {5e9, {behind, 0.5}};
    RunTimes run;
    run.run = {{"model", "made-up"}};
    run =
        gathered(*group, run, "node" + std::to_string(rank), {reading, reading}, steps);
    EXPECT_EQ(run.run.at("model"), "made-up");
    EXPECT_EQ(run.world_size, 3);
    if (rank != 0) {
      EXPECT_TRUE(run.steps.empty());
      return;
    }
    EXPECT_EQ(run.hosts, (std::vector<std::string>{"node0", "node1", "node2"}));
    ASSERT_EQ(run.clocks.size(), 3);
    EXPECT_EQ(run.clocks[2].offset_us, 2e6);
    EXPECT_EQ(run.clocks[2].uncertainty_us, 0.5);
    ASSERT_EQ(run.steps.size(), 6) << "rank 2 has two steps";
    for (size_t i = 0; i < run.steps.size(); ++i) {
      const StepTimes& step = run.steps[i];
      EXPECT_EQ(step.step, 4 + static_cast<int64_t>(i / 3));
      EXPECT_EQ(step.rank, static_cast<int>(i % 3));
      EXPECT_EQ(step.begin_us, 10.0 * static_cast<double>(i / 3) + step.rank);
      EXPECT_EQ(step.reduced_us, step.begin_us + 4);
      ASSERT_EQ(step.buckets.size(), 1);
      EXPECT_EQ(step.buckets[0].finish_us, step.begin_us + 3);
    }
    EXPECT_NO_THROW(to_json_lines(run));
  });
}

}  // namespace
}  // namespace lockstep::timing
