// The program's options, under the names that horovodrun and Horovod's examples have.
#include <gtest/gtest.h>

#include "program/command_line.h"
#include "tests/error_of.h"

namespace lockstep::program {
namespace {

TrainOptions parse(const std::vector<std::string>& arguments,
                   Ranks ranks = Ranks::horovod) {
  return parse_command_line("horovod", "About it.", ranks, arguments).options;
}

TEST(HorovodOptions, AreHorovodruns) {
  const TrainOptions options = parse(
      {"--fusion-threshold-mb", "32", "--cycle-time-ms=3.5", "--cache_capacity", "0",
       "--timeline-filename", "t.json", "--timeline-mark-cycles",
       "--stall-check-warning-time-seconds", "5", "--stall-check-shutdown-time-seconds",
       "10", "--no-stall-check", "--fp16-allreduce", "--op", "sum"});
  const training::HorovodOptions& horovod = options.horovod;
  EXPECT_EQ(horovod.fusion_threshold_mb, 32);
  EXPECT_EQ(horovod.cycle_time_ms, 3.5);
  EXPECT_EQ(horovod.cache_capacity, 0);
  EXPECT_EQ(horovod.timeline_filename, "t.json");
  EXPECT_TRUE(horovod.timeline_mark_cycles);
  EXPECT_EQ(horovod.stall_warning_s, 5);
  EXPECT_EQ(horovod.stall_shutdown_s, 10);
  EXPECT_TRUE(horovod.no_stall_check);
  EXPECT_TRUE(horovod.fp16_allreduce);
  EXPECT_EQ(horovod.op, "sum");
}

// Not given is not 0: then the variable counts.
TEST(HorovodOptions, ThatAreNotGivenLeaveTheVariablesAlone) {
  const training::HorovodOptions horovod = parse({}).horovod;
  EXPECT_FALSE(horovod.cycle_time_ms.has_value());
  EXPECT_FALSE(horovod.fusion_threshold_mb.has_value());
  EXPECT_FALSE(horovod.cache_capacity.has_value());
  EXPECT_EQ(horovod.op, "average");
}

// One thing under two names.
TEST(HorovodOptions, OfBackwardPassesAreAccumulates) {
  EXPECT_EQ(parse({"--backward-passes-per-step", "4"}).accumulate, 4);
  EXPECT_EQ(parse({"--accumulate", "4"}).accumulate, 4);
  EXPECT_THROW(parse({"--accumulate", "4", "--backward-passes-per-step", "2"}),
               CLI::ParseError);
}

TEST(HorovodOptions, AreNotOtherPrograms) {
  EXPECT_THROW(parse({"--cycle-time-ms", "1"}, Ranks::one_a_card), CLI::ParseError);
  EXPECT_THROW(parse({"--reducer", "flat"}), CLI::ParseError);
  EXPECT_THROW(parse({"--op", "adasum"}), CLI::ParseError);
  EXPECT_EQ(parse({"--backend", "gloo", "--gpus", "2", "--timeout", "9"}).timeout_s, 9);
}

}  // namespace
}  // namespace lockstep::program
