// Horovod's variables, its defaults, and the options that go over them.
#include "negotiation/settings.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/error_of.h"

namespace lockstep::negotiation {
namespace {

using Variables = std::map<std::string, std::string>;

Lookup in(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

std::string refusal(const Variables& variables) {
  return error_of([&] { read_settings(in(variables)); });
}

TEST(Settings, AreHorovodsOwnWhereNothingIsSet) {
  const Settings settings = read_settings(in({}));
  EXPECT_EQ(settings.fusion_threshold, 134217728);
  EXPECT_EQ(settings.cycle_time.count(), 1);
  EXPECT_EQ(settings.cache_capacity, 1024);
  EXPECT_EQ(settings.timeline, "");
  EXPECT_FALSE(settings.timeline_mark_cycles);
  EXPECT_TRUE(settings.stall_check);
  EXPECT_EQ(settings.stall_warning.count(), 60);
  EXPECT_EQ(settings.stall_shutdown.count(), 0);
}

TEST(Settings, AreReadFromHorovodsVariables) {
  const Settings settings =
      read_settings(in({{"HOROVOD_FUSION_THRESHOLD", "0"},
                        {"HOROVOD_CYCLE_TIME", "3.5"},
                        {"HOROVOD_CACHE_CAPACITY", "7"},
                        {"HOROVOD_TIMELINE", "t.json"},
                        {"HOROVOD_TIMELINE_MARK_CYCLES", "1"},
                        {"HOROVOD_STALL_CHECK_TIME_SECONDS", "2"},
                        {"HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", "4"}}));
  EXPECT_EQ(settings.fusion_threshold, 0);
  EXPECT_EQ(settings.cycle_time.count(), 3.5);
  EXPECT_EQ(settings.cache_capacity, 7);
  EXPECT_EQ(settings.timeline, "t.json");
  EXPECT_TRUE(settings.timeline_mark_cycles);
  EXPECT_EQ(settings.stall_warning.count(), 2);
  EXPECT_EQ(settings.stall_shutdown.count(), 4);
  EXPECT_FALSE(read_settings(in({{"HOROVOD_STALL_CHECK_DISABLE", "1"}})).stall_check);
  EXPECT_TRUE(read_settings(in({{"HOROVOD_STALL_CHECK_DISABLE", "0"}})).stall_check);
  // Set and empty is not set.
  EXPECT_EQ(read_settings(in({{"HOROVOD_CYCLE_TIME", ""}})).cycle_time.count(), 1);
}

TEST(Settings, ThatCannotBeAreRefusedInOneLine) {
  EXPECT_EQ(refusal({{"HOROVOD_FUSION_THRESHOLD", "64MB"}}),
            "HOROVOD_FUSION_THRESHOLD=64MB: give a number from 0 to 1000000000000");
  EXPECT_EQ(refusal({{"HOROVOD_CYCLE_TIME", "-1"}}),
            "HOROVOD_CYCLE_TIME=-1: give a number from 0 to 1000000");
  EXPECT_EQ(refusal({{"HOROVOD_CYCLE_TIME", "nan"}}),
            "HOROVOD_CYCLE_TIME=nan: give a number from 0 to 1000000");
  EXPECT_EQ(refusal({{"HOROVOD_CACHE_CAPACITY", "1.5"}}),
            "HOROVOD_CACHE_CAPACITY=1.5: give a whole number");
  EXPECT_EQ(refusal({{"HOROVOD_STALL_CHECK_TIME_SECONDS", "1 minute"}}),
            "HOROVOD_STALL_CHECK_TIME_SECONDS=1 minute: give a number from 0 to "
            "1000000");
  EXPECT_EQ(refusal({{"HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", "30"}}),
            "a stalled run would end after 30 s, before the warning at 60 s; raise "
            "--stall-check-shutdown-time-seconds "
            "(HOROVOD_STALL_SHUTDOWN_TIME_SECONDS)");
  EXPECT_EQ(refusal({{"HOROVOD_TIMELINE_MARK_CYCLES", "yes"}}),
            "HOROVOD_TIMELINE_MARK_CYCLES=yes: give 1 or 0");
}

TEST(Settings, MarksAreOfATimeline) {
  training::HorovodOptions options;
  options.timeline_mark_cycles = true;
  EXPECT_EQ(error_of([&] { settings_of(options, in({})); }),
            "--timeline-mark-cycles marks a timeline, and there is none; leave it out, "
            "or give --timeline-filename");
  EXPECT_TRUE(
      settings_of(options, in({{"HOROVOD_TIMELINE", "t"}})).timeline_mark_cycles);
}

TEST(Settings, OfTheCommandLineGoOverTheVariables) {
  training::HorovodOptions options;
  const Lookup variables = in({{"HOROVOD_CYCLE_TIME", "3"},
                               {"HOROVOD_FUSION_THRESHOLD", "100"},
                               {"HOROVOD_TIMELINE", "a"}});
  EXPECT_EQ(settings_of(options, variables).cycle_time.count(), 3);
  options.cycle_time_ms = 0.5;
  options.fusion_threshold_mb = 2;
  options.timeline_filename = "b";
  options.stall_warning_s = 5;
  options.stall_shutdown_s = 6;
  options.cache_capacity = 0;
  const Settings settings = settings_of(options, variables);
  EXPECT_EQ(settings.cycle_time.count(), 0.5);
  EXPECT_EQ(settings.fusion_threshold, 2097152);
  EXPECT_EQ(settings.timeline, "b");
  EXPECT_EQ(settings.stall_warning.count(), 5);
  EXPECT_EQ(settings.stall_shutdown.count(), 6);
  EXPECT_EQ(settings.cache_capacity, 0);
  options.cycle_time_ms = -2;
  EXPECT_EQ(error_of([&] { settings_of(options, variables); }),
            "--cycle-time-ms -2: give a number from 0 to 1000000");
}

}  // namespace
}  // namespace lockstep::negotiation
