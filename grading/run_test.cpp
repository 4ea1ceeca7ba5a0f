// Every way in which a check can come out, from a child that really crashes and hangs;
// and that each costs its own points alone.
#include "grading/run.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace lockstep::grading {
namespace {

const std::string kFolder = LOCKSTEP_TRIAL_FOLDER;

// The checks as trial/trial.cpp has them; what they look at runs over there.
Lab trial() {
  Lab lab{99, "trial", "Trial", {}};
  for (const char* id :
       {"passes", "refused", "throws", "throws_a_number", "crashes", "exits", "hangs",
        "leaves", "prints", "seeds", "garbles", "hangs_again", "comes_too_late"}) {
    lab.checks.push_back(
        {id, "it comes out so", 1, {"usual", "", ""}, {}, 1, std::chrono::seconds(1)});
  }
  return lab;
}

class Run : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    graded_ = grade(trial(), kFolder + "/trial", kFolder + "/trial_solution.so");
  }
  static inline Grade graded_;
};

TEST_F(Run, EveryWayToComeOut) {
  const Grade& graded = graded_;
  auto expect = [&, i = size_t{0}](Verdict verdict, const std::string& saw,
                                   const std::string& misconception) mutable {
    ASSERT_LT(i, graded.outcomes.size());
    const Outcome& outcome = graded.outcomes[i++];
    EXPECT_STREQ(to_string(outcome.verdict), to_string(verdict)) << outcome.id;
    EXPECT_EQ(outcome.saw, saw) << outcome.id;
    EXPECT_EQ(outcome.misconception.id, misconception) << outcome.id;
  };
  ASSERT_EQ(graded.outcomes.size(), trial().checks.size());
  expect(Verdict::passed, "", "");
  expect(Verdict::refused, "saw 3, not 4", "other");
  expect(Verdict::threw, "not written yet", "usual");
  expect(Verdict::threw, "something that is no std::exception", "usual");
  expect(Verdict::crashed, "its process was killed by SIGSEGV", "usual");
  expect(Verdict::crashed, "its process exited with status 0", "usual");
  expect(Verdict::timed_out, "it does not end within 1 s", "usual");
  expect(Verdict::crashed, "its process was killed by SIGSEGV", "usual");
  expect(Verdict::timed_out, "it does not end within 1 s", "usual");
  expect(Verdict::passed, "", "");
  expect(Verdict::crashed, "it writes to a file that it did not open, the grader's",
         "usual");
  expect(Verdict::timed_out, "it does not end within 1 s", "usual");
  expect(Verdict::not_run, "3 checks before it hung; mend the first of them", "");
  EXPECT_EQ(graded.points(), 13);
  EXPECT_EQ(graded.earned(), 2);
  EXPECT_NE(graded.printed.find("said by the solution"), std::string::npos);
}

TEST_F(Run, WhatIsPrintedForEverIsKeptInPart) {
  EXPECT_LT(graded_.printed.size(), size_t{1} << 20);
  EXPECT_NE(graded_.printed.find(" bytes more are not kept)"), std::string::npos);
}

TEST_F(Run, WhatASolutionStartsEndsWithIt) {
  const size_t at = graded_.printed.find("left ");
  ASSERT_NE(at, std::string::npos);
  const pid_t left = std::atoi(graded_.printed.c_str() + at + 5);
  ASSERT_GT(left, 0);
  EXPECT_EQ(kill(left, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(Run, EndsAtTheFirstThatDoesNotPassWhereAskedTo) {
  const Grade graded = grade(trial(), kFolder + "/trial",
                             kFolder + "/trial_solution.so", Until::first_not_passed);
  ASSERT_EQ(graded.outcomes.size(), graded_.outcomes.size());
  for (size_t i = 0; i < graded.outcomes.size(); ++i) {
    const Outcome& wanted = graded_.outcomes[i];
    EXPECT_EQ(graded.outcomes[i].id, wanted.id);
    EXPECT_EQ(graded.outcomes[i].verdict, i < 2 ? wanted.verdict : Verdict::not_run);
    EXPECT_EQ(graded.outcomes[i].saw,
              i < 2 ? wanted.saw : "a check before it did not pass");
  }
  EXPECT_EQ(graded.outcomes[1].misconception.id, "other");
}

TEST_F(Run, WhatCannotBeLoadedEarnsNothing) {
  const Grade graded = grade(trial(), kFolder + "/trial", kFolder + "/no_such.so");
  ASSERT_EQ(graded.outcomes.size(), trial().checks.size());
  for (const Outcome& outcome : graded.outcomes) {
    EXPECT_STREQ(to_string(outcome.verdict), "not run");
    EXPECT_EQ(outcome.saw.rfind("it cannot be loaded: ", 0), 0u) << outcome.saw;
  }
  EXPECT_EQ(graded.earned(), 0);
}

}  // namespace
}  // namespace lockstep::grading
