// The interval around a median of repetitions.
#include "rows/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace lockstep::rows {
namespace {

TEST(Bootstrap, TheIntervalHoldsTheMedianAndIsTheSameEveryTime) {
  const Samples samples = {5, 1, 4, 2, 3};
  const Interval first = median_interval(samples), second = median_interval(samples);
  EXPECT_EQ(first.value, 3);
  EXPECT_EQ(first.low, 1);
  EXPECT_EQ(first.high, 5);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
}

TEST(Bootstrap, EqualRepetitionsLeaveNoDoubt) {
  const Interval sure = median_interval({7, 7, 7});
  EXPECT_EQ(sure.value, 7);
  EXPECT_EQ(sure.low, 7);
  EXPECT_EQ(sure.high, 7);
}

TEST(Bootstrap, HoldsTheTruthAboutAsOftenAsItSays) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> noise(10, 1);
  int held = 0;
  for (int trial = 0; trial < 100; ++trial) {
    Samples samples;
    for (int i = 0; i < 25; ++i) samples.push_back(noise(random));
    const Interval found = median_interval(samples);
    held += found.low <= 10 && 10 <= found.high ? 1 : 0;
  }
  EXPECT_GE(held, 90);
  EXPECT_LT(held, 100) << "an interval that is never wrong is too wide";
}

// A ratio of two sets: what one of them varies by is not shared with the other.
TEST(Bootstrap, AFigureOfSeveralSetsDrawsFromEach) {
  const auto ratio = [](const std::vector<Samples>& sets) {
    return sets[1][0] / sets[0][0];
  };
  const Interval found = bootstrap({{1, 2}, {10}}, ratio);
  EXPECT_EQ(found.value, 10);
  EXPECT_EQ(found.low, 5);
  EXPECT_EQ(found.high, 10);
}

}  // namespace
}  // namespace lockstep::rows
