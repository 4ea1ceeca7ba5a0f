// Every way in which a check can come out, from a child that really crashes and hangs;
// and that each costs its own points alone.
#include "grading/run.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace lockstep::grading {
namespace {

const std::string kFolder = LOCKSTEP_TRIAL_FOLDER;

// The checks as trial/trial.cpp has them; what they look at runs over there.
Lab trial() {
  Lab lab{99, "trial", "Trial", {}};
  for (const char* id : {"passes", "refused", "throws", "throws_a_number", "crashes",
                         "exits", "hangs", "seeds", "prints", "garbles", "forks",
                         "hangs_again", "hangs_ever", "comes_too_late"}) {
    lab.checks.push_back(
        {id, "it comes out so", 1, {"usual", "", ""}, {}, 1, std::chrono::seconds(1)});
  }
  return lab;
}

// 'Z': killed, and perhaps not yet fetched by whoever inherited it.
bool runs(const std::string& pid) {
  std::ifstream in("/proc/" + pid + "/stat");
  std::string number, name, state;
  return in >> number >> name >> state && state != "Z";
}

TEST(Run, EveryWayToComeOut) {
  const Grade graded =
      grade(trial(), kFolder + "/trial", kFolder + "/trial_solution.so");
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
  expect(Verdict::passed, "", "");
  expect(Verdict::passed, "", "");
  expect(Verdict::crashed, "it writes to a file that it did not open, the grader's",
         "usual");
  expect(Verdict::passed, "", "");
  expect(Verdict::timed_out, "it does not end within 1 s", "usual");
  expect(Verdict::timed_out, "it does not end within 1 s", "usual");
  expect(Verdict::not_run, "3 checks before it hung; mend the first of them", "");
  EXPECT_EQ(graded.points(), 14);
  EXPECT_EQ(graded.earned(), 4);
  EXPECT_NE(graded.printed.find("said by the solution"), std::string::npos);
  // Of the ten million bytes that one check prints.
  EXPECT_LT(graded.printed.size(), 200'000u);
  EXPECT_NE(graded.printed.find(" bytes more)\n"), std::string::npos);
  // What it forked was killed with it.
  const size_t at = graded.printed.find("forked ");
  ASSERT_NE(at, std::string::npos);
  const std::string pid = std::to_string(std::stoi(graded.printed.substr(at + 7)));
  while (runs(pid)) usleep(1000);  // for ever, where it was not
}

TEST(Run, WhatCannotBeLoadedEarnsNothing) {
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
