#include "emulation/processors.h"

#include <gtest/gtest.h>

namespace lockstep::emulation {
namespace {

TEST(ProcessorsTest, HostsShareThemEqually) {
  const std::vector<int> six = {0, 1, 2, 4, 5, 7};
  EXPECT_EQ(share_of(0, 1, six), "0,1,2,4,5,7");
  EXPECT_EQ(share_of(0, 2, six), "0,1,2");
  EXPECT_EQ(share_of(1, 2, six), "4,5,7");
  EXPECT_EQ(share_of(5, 6, six), "7");
}

TEST(ProcessorsTest, MoreHostsThanProcessorsTakeThemInTurns) {
  EXPECT_EQ(share_of(0, 4, {3, 8}), "3");
  EXPECT_EQ(share_of(1, 4, {3, 8}), "8");
  EXPECT_EQ(share_of(2, 4, {3, 8}), "3");
}

TEST(ProcessorsTest, NobodyIsBoundWhereSharesWouldDiffer) {
  EXPECT_EQ(share_of(0, 3, {0, 1}), "");
  EXPECT_EQ(share_of(0, 2, {0, 1, 2}), "");
  EXPECT_EQ(share_of(0, 2, {}), "");
}

TEST(ProcessorsTest, ThisProcessHasSome) { EXPECT_FALSE(processors().empty()); }

}  // namespace
}  // namespace lockstep::emulation
