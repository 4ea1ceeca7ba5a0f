// bench --compare on whole runs: its exit status where a case is slower, and where it
// is not.
#include "tests/compared_runs.h"

namespace lockstep {
namespace {

TEST(BenchCompare, EndsWithStatus3WhereACaseIsSlower) {
  // slow_ddp sleeps from its 16th step on.
  ComparedRuns runs({"--gpus", "1", "--threads-per-card", "1", "--batch-size", "256",
                     "--steps", "20", "--warmup", "20"});
  runs.make_base(4);
  // Twenty times as long: beside other tests even three times is within a step's luck.
  EXPECT_EQ(runs.slower_by("19", 4), 3);
  const int unchanged = runs.unchanged(4);
  EXPECT_TRUE(unchanged == 0 || unchanged == 3) << unchanged;
}

TEST(BenchCompare, AnOlderRunThatIsNotThereIsNamed) {
  ProgramRun nowhere("bench", {"--compare", "nowhere"});
  EXPECT_EQ(nowhere.status(), 1);
  EXPECT_NE(nowhere.process().err().find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
