// A rank of a whole run that is slowed by 30 % (slow_ddp.cpp), in one step of a hundred
// or throughout, and what `buckets` says of what the run recorded. Most of the ranks'
// work is to wait, so that two ranks need no core of their own; but nothing else may be
// at work, for a step that the machine makes late is as late as the one that is meant.
#include <map>
#include <regex>
#include <sstream>

#include "tests/program_run.h"

namespace lockstep {
namespace {

// "rank 1 throughout", "rank 1 in step 57": whoever the report names, and each step.
std::vector<std::string> named_by_report(const launch::Environment& slowed) {
  const TestFolder folder;
  const std::filesystem::path programs = program_path("");
  ProgramRun run((programs.parent_path().parent_path() / "tests/slow_ddp").string(),
                 {"--gpus",
                  "2",
                  "--threads-per-card",
                  "1",
                  "--device",
                  "cpu",
                  "--model",
                  "mlp",
                  "--dataset",
                  "synthetic",
                  "--batch-size",
                  "1",
                  "--steps",
                  "100",
                  "--backend",
                  "gloo",
                  "--bucket-cap-mb",
                  "0.1",
                  "--quiet",
                  "--bucket-times",
                  folder / "times"},
                 slowed);
  EXPECT_EQ(run.status(), 0) << run.process().err();
  ProgramRun report("buckets", {folder / "times"});
  EXPECT_EQ(report.status(), 0) << report.process().err();
  std::printf("%s", report.process().out().c_str());
  const std::regex sentence("- Rank ([0-9]+) is late (throughout|in steps? ([^:]*)): ");
  std::vector<std::string> named;
  for (const std::string& line : lines_of(report.process().out())) {
    std::smatch match;
    if (!std::regex_search(line, match, sentence)) continue;
    const std::string rank = "rank " + match[1].str();
    if (!match[3].matched) named.push_back(rank + " throughout");
    std::istringstream steps(match[3]);
    for (std::string step; std::getline(steps >> std::ws, step, ',');) {
      named.push_back(rank + " in step " + step);
    }
  }
  return named;
}

// A machine that is busy with something else slows ranks as well, in other steps each
// time, or all of them so much that nobody can be told. So the one that is meant is
// named in two runs of a few, and nobody else is twice.
void expect_named(const launch::Environment& slowed, const std::string& who) {
  std::map<std::string, int> times;
  for (int run = 0; run < 8 && times[who] < 2; ++run) {
    for (const std::string& name : named_by_report(slowed)) ++times[name];
  }
  for (const auto& [name, count] : times) {
    EXPECT_EQ(count >= 2, name == who) << name << ": " << count;
  }
}

TEST(Straggler, OfARealRunIsNamed) {
  expect_named({{"LOCKSTEP_TEST_SLOWER", "0.3"},
                {"LOCKSTEP_TEST_WORK_MS", "20"},
                {"LOCKSTEP_TEST_SLOW_RANK", "1"}},
               "rank 1 throughout");
  expect_named({{"LOCKSTEP_TEST_SLOWER", "0.3"},
                {"LOCKSTEP_TEST_WORK_MS", "20"},
                {"LOCKSTEP_TEST_SLOW_RANK", "0"},
                {"LOCKSTEP_TEST_SLOW_STEP", "57"}},
               "rank 0 in step 57");
}

}  // namespace
}  // namespace lockstep
