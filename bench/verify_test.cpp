#include "bench/verify.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lockstep::bench {
namespace {

TEST(Disagreement, NoneWithinTheTolerance) {
  EXPECT_EQ(disagreement({}, {}), std::nullopt);
  EXPECT_EQ(disagreement({2.5, 1.25}, {2.5, 1.25}), std::nullopt);
  EXPECT_EQ(disagreement({2.5 * (1 + 0.9e-5)}, {2.5}), std::nullopt);
  EXPECT_EQ(disagreement({0.0}, {0.0}), std::nullopt);
}

TEST(Disagreement, NamesTheFirstStepAndBothLosses) {
  EXPECT_EQ(
      disagreement({2.5, 1.3, 9}, {2.5, 1.25, 1}),
      "loss 1.3 at step 1 where one card on the same samples has 1.25: not timed");
  EXPECT_NE(disagreement({2.5 * (1 + 1.1e-5)}, {2.5}), std::nullopt);
  EXPECT_NE(disagreement({2.5 * (1 - 1.1e-5)}, {2.5}), std::nullopt);
  EXPECT_NE(disagreement({1e-30}, {0.0}), std::nullopt) << "the tolerance is relative";
}

TEST(Disagreement, NaNAndInfinityNeverAgree) {
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double strange : {nan, infinity, -infinity}) {
    EXPECT_NE(disagreement({strange}, {2.5}), std::nullopt);
    EXPECT_NE(disagreement({2.5}, {strange}), std::nullopt);
    EXPECT_NE(disagreement({strange}, {strange}), std::nullopt);
  }
}

TEST(Disagreement, AnotherNumberOfStepsIsOne) {
  EXPECT_EQ(disagreement({2.5}, {2.5, 1.25}), "took 1 steps where one card takes 2");
  EXPECT_EQ(disagreement({2.5, 1.25}, {}), "took 2 steps where one card takes 0");
}

TEST(MayBeRounding, BeginsEqualAndStaysNear) {
  EXPECT_TRUE(may_be_rounding({2.5, 1.25}, {2.5, 1.25}));
  EXPECT_TRUE(may_be_rounding({2.5 * (1 + 0.9e-5), 1.25 * 1.04}, {2.5, 1.25}));
  EXPECT_FALSE(may_be_rounding({2.5 * (1 + 1.1e-5), 1.25}, {2.5, 1.25}));
  EXPECT_FALSE(may_be_rounding({2.5, 1.25 * 1.06}, {2.5, 1.25}));
  EXPECT_FALSE(may_be_rounding({2.5, std::nan("")}, {2.5, 1.25}));
  EXPECT_FALSE(may_be_rounding({2.5}, {2.5, 1.25}));
  EXPECT_FALSE(may_be_rounding({}, {}));
}

TEST(Shares, MatterToBatchNormAlone) {
  const Case share = {"dp-share-0.5", "convnet", 2, 1, 8, {.primary_share = 0.5}};
  EXPECT_TRUE(may_be_the_shares(share));
  Case plain = share;
  plain.model = "convnet-plain";
  EXPECT_FALSE(may_be_the_shares(plain));
  Case equal = share;
  equal.dp.primary_share = 1;
  EXPECT_FALSE(may_be_the_shares(equal));
  Case alone = share;
  alone.cards = 1;
  EXPECT_FALSE(may_be_the_shares(alone));
}

}  // namespace
}  // namespace lockstep::bench
