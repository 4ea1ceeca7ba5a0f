// bench --compare finds a slow-down of a tenth in 19 of 20 runs, and blames a program
// that did not change in at most one of 20. Real runs, and real time: on a machine that
// does nothing else.
#include "tests/compared_runs.h"

namespace lockstep {
namespace {

TEST(Planted, ATenthIsFoundIn19Of20RunsAndNothingInAtMostOne) {
  constexpr int kRuns = 20, kOldRepetitions = 20, kRepetitions = 5;
  constexpr int kRegression = 3;
  ComparedRuns runs({"--gpus", "1", "--threads-per-card", "1", "--batch-size", "512",
                     "--steps", "300", "--warmup", "20"});
  runs.make_base(kOldRepetitions);
  int found = 0, blamed = 0;
  for (int i = 0; i < kRuns; ++i) {  // in turn, as the machine's mood may change
    const int slower = runs.slower_by("0.1", kRepetitions);
    const int unchanged = runs.unchanged(kRepetitions);
    for (const int status : {slower, unchanged}) {
      ASSERT_TRUE(status == 0 || status == kRegression) << status;
    }
    found += slower == kRegression ? 1 : 0;
    blamed += unchanged == kRegression ? 1 : 0;
  }
  std::printf("a tenth slower: found in %d of %d; unchanged: blamed in %d of %d\n",
              found, kRuns, blamed, kRuns);
  EXPECT_GE(found, 19);
  EXPECT_LE(blamed, 1);
}

}  // namespace
}  // namespace lockstep
