// What waits for whom, told at the right time: of a clock that is the test's.
#include "negotiation/stall_inspector.h"

#include <gtest/gtest.h>

namespace lockstep::negotiation {
namespace {

using Time = StallInspector::Clock::time_point;
using std::chrono::seconds;

const Time kBegin{};

StallInspector inspector(double warning, double shutdown = 0) {
  Settings settings;
  settings.stall_warning = Seconds(warning);
  settings.stall_shutdown = Seconds(shutdown);
  return StallInspector(settings);
}

TEST(StallInspector, NamesTensorsAndMissingRanksOnceInEachWarningTime) {
  StallInspector inspector = negotiation::inspector(60);
  const std::vector<StallInspector::Waiting> waiting = {
      {"a", kBegin, {1}}, {"b", kBegin + seconds(10), {0, 2}}, {"c", kBegin, {1}}};
  EXPECT_EQ(inspector.due(kBegin), kBegin + seconds(60));
  EXPECT_EQ(inspector.inspect(waiting, kBegin + seconds(59)).warning, "");
  EXPECT_EQ(inspector.inspect(waiting, kBegin + seconds(60)).warning,
            "tensors wait for other ranks for more than 60 s: rank 1 has not submitted "
            "a, c; do all ranks train the same model, and as many steps?");
  EXPECT_EQ(inspector.due(kBegin), kBegin + seconds(120));
  EXPECT_EQ(inspector.inspect(waiting, kBegin + seconds(119)).warning, "");
  const auto second = inspector.inspect(waiting, kBegin + seconds(120));
  EXPECT_NE(second.warning.find("rank 1 has not submitted a, c; ranks 0, 2 have not "
                                "submitted b"),
            std::string::npos)
      << second.warning;
  EXPECT_EQ(second.shutdown, "");
}

TEST(StallInspector, SaysHowManyMoreThereAre) {
  std::vector<StallInspector::Waiting> waiting;
  for (int i = 0; i < 12; ++i)
    waiting.push_back({"t" + std::to_string(i), kBegin, {3}});
  const auto found = inspector(1).inspect(waiting, kBegin + seconds(1));
  EXPECT_NE(found.warning.find("t0, t1, t2, t3, t4 and 7 more;"), std::string::npos)
      << found.warning;
}

TEST(StallInspector, EndsTheRunAfterTheShutdownTime) {
  StallInspector inspector = negotiation::inspector(60, 90);
  const std::vector<StallInspector::Waiting> waiting = {{"a", kBegin, {1}}};
  EXPECT_NE(inspector.inspect(waiting, kBegin + seconds(60)).warning, "");
  EXPECT_EQ(inspector.due(kBegin), kBegin + seconds(90));
  EXPECT_EQ(inspector.inspect(waiting, kBegin + seconds(89)).shutdown, "");
  EXPECT_EQ(inspector.inspect(waiting, kBegin + seconds(90)).shutdown,
            "tensors wait for other ranks for 90 s, and "
            "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS allows no more: rank 1 has not "
            "submitted a");
}

TEST(StallInspector, SaysNothingWhereItIsDisabled) {
  Settings settings;
  settings.stall_check = false;
  settings.stall_shutdown = Seconds(1);
  StallInspector inspector(settings);
  const auto found = inspector.inspect({{"a", kBegin, {1}}}, kBegin + seconds(1000));
  EXPECT_EQ(found.warning + found.shutdown, "");
  EXPECT_FALSE(inspector.due(kBegin).has_value());
}

}  // namespace
}  // namespace lockstep::negotiation
