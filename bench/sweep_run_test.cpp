// A sweep of knobs as a user runs it: told first, then run.
#include <algorithm>
#include <map>
#include <set>

#include "emulation/hosts.h"
#include "rows/row.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

using Names = std::vector<std::string>;

Names on_two_cards(const std::string& out, const Names& more) {
  return Names{"--quick", "--model",   "linear", "--dataset", "features100",
               "--mode",  "ddp",       "--gpus", "2",         "--device",
               "cpu",     "--no-page", "--out",  out} +
         more;
}

Names sweep(const std::string& out, const Names& more) {
  return on_two_cards(out, {"--steps", "3", "--batch-size", "8,16", "--reducer",
                            "naive,bucketed", "--bucket-cap-mb", "0,1"}) +
         more;
}

Names first_words(const std::string& text) {
  Names words;
  for (const std::string& line : lines_of(text)) {
    words.push_back(line.substr(0, line.find(' ')));
  }
  return words;
}

TEST(SweepRun, DoesWhatTheDryRunTold) {
  const TestFolder place;
  ProgramRun told("bench", sweep(place / "out", {"--dry-run"}));
  ASSERT_EQ(told.status(), 0) << told.process().err();
  EXPECT_EQ(place.names(), Names{}) << "it writes nothing";
  const std::string text = told.process().out();
  Names names = first_words(text);
  ASSERT_EQ(names.size(), 9U) << text;
  names.pop_back();  // the sum
  EXPECT_EQ(names, (Names{"single/linear/cards:1/batch:8",
                          "ddp/linear/cards:2/batch:8/reducer:naive",
                          "ddp/linear/cards:2/batch:8/reducer:bucketed/cap:0",
                          "ddp/linear/cards:2/batch:8/reducer:bucketed/cap:1",
                          "single/linear/cards:1/batch:16",
                          "ddp/linear/cards:2/batch:16/reducer:naive",
                          "ddp/linear/cards:2/batch:16/reducer:bucketed/cap:0",
                          "ddp/linear/cards:2/batch:16/reducer:bucketed/cap:1"}));
  const std::string command =
      " --steps 5 --precision fp32 --lr 0.01 --seed 0 --drop-last ";
  EXPECT_NE(text.find(program_path("single_gpu") + " --model linear"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(command), std::string::npos) << text;
  // 6 cases and a reference a batch, 10 steps each; 8 cases once, 2 + 3 steps.
  EXPECT_NE(text.find("8 cases: 8 runs of 10 steps to verify, 8 runs of 5 steps to "
                      "time; 120 steps"),
            std::string::npos)
      << text;

  ProgramRun run("bench", sweep(place / "out", {}));
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_NE(run.process().out().find("a quick look: 1 repetition of 3 steps"),
            std::string::npos)
      << run.process().out();
  Names ran;
  std::map<std::string, std::set<std::string>> options;
  for (const rows::Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    ran.push_back(row.name);
    EXPECT_EQ(row.status, "ok") << row.message;
    EXPECT_EQ(row.local_batch, row.name.find("batch:8") == std::string::npos ? 16 : 8);
    for (const char* key : {"reducer", "bucket-cap-mb"}) {
      const auto found = row.options.find(key);
      if (found != row.options.end()) options[key].insert(found->second);
    }
    EXPECT_EQ(row.options.count("bucket-cap-mb"),
              row.name.find("bucketed") == std::string::npos ? 0U : 1U)
        << row.name;
  }
  EXPECT_EQ(ran, names);
  EXPECT_EQ(options["reducer"], (std::set<std::string>{"naive", "bucketed"}));
  EXPECT_EQ(options["bucket-cap-mb"], (std::set<std::string>{"0", "1"}));
  const std::string json = read_text(place / "out/results.json");
  EXPECT_NE(json.find("\"ddp/linear/cards:2/batch:16/reducer:naive/iterations:1"),
            std::string::npos);
}

TEST(SweepRun, TheDryRunTellsWhatRunsBesideTheCases) {
  const TestFolder place;
  ProgramRun told("bench",
                  sweep(place / "out", {"--dry-run", "--peers", "bound", "--step-lanes",
                                        "--predict", "--memory-timeline"}));
  ASSERT_EQ(told.status(), 0) << told.process().err();
  const std::string text = told.process().out();
  for (const char* words : {"bound/linear/cards:2/batch:8  2 at once of /",
                            "\n8 runs for memory timelines\n8 runs for step lanes\n",
                            "and profiles of one card"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << " in\n" << text;
  }
}

TEST(SweepRun, TheDryRunRefusesWhatTheRunWould) {
  const TestFolder place;
  ProgramRun reducer("bench",
                     sweep(place / "out", {"--reducer", "naive,flop", "--dry-run"}));
  expect_refusal(reducer, 2, {"unknown reducer 'flop'"});
  write_text(place / "file", "");
  ProgramRun folder("bench", sweep(place / "file/out", {"--dry-run"}));
  expect_refusal(folder, 1, {"--out", "cannot be made", "Not a directory"});
  ProgramRun compare(
      "bench", sweep(place / "out", {"--dry-run", "--compare", place / "nowhere"}));
  expect_refusal(compare, 1, {"nowhere"});
}

// What is lossy is verified without what makes it so, and says that it is; and each
// case with buckets leaves their times.
TEST(SweepRun, OfWhatIsSentSaysWhatIsLossy) {
  const TestFolder place;
  ProgramRun run(
      "bench",
      on_two_cards(place / "out", {"--steps", "4", "--warmup", "2", "--reducer",
                                   "bucketed,diloco", "--local-sgd", "2", "--comm-hook",
                                   "allreduce,fp16", "--bucket-times", "--mode",
                                   "horovod", "--fp16-allreduce", "no,yes"}));
  ASSERT_EQ(run.status(), 0) << run.process().err();
  std::map<std::string, bool> lossy;
  for (const rows::Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    lossy[row.name] =
        std::count(row.flags.begin(), row.flags.end(), std::string("lossy")) > 0;
    EXPECT_EQ(row.options.count("local-sgd"), row.name.ends_with("diloco")) << row.name;
  }
  const std::string ddp = "ddp/linear/cards:2/reducer:";
  EXPECT_EQ(lossy,
            (std::map<std::string, bool>{{"single/linear/cards:1", false},
                                         {ddp + "bucketed/hook:allreduce", false},
                                         {ddp + "bucketed/hook:fp16", true},
                                         {ddp + "diloco", true},
                                         {"horovod/linear/cards:2/fp16:no", false},
                                         {"horovod/linear/cards:2/fp16:yes", true}}));
  for (const char* hook : {"allreduce", "fp16"}) {
    ProgramRun report("buckets", {place / "out/buckets/ddp_linear_cards.2_reducer."
                                          "bucketed_hook." +
                                  std::string(hook) + ".jsonl"});
    EXPECT_EQ(report.status(), 0) << report.process().err();
    EXPECT_NE(report.process().out().find("linear, bucketed over shm: 2 ranks"),
              std::string::npos)
        << report.process().out();
  }
}

// `hier` is refused on one host: the programs are asked as if they were on several.
TEST(SweepRun, TakesHierOnSeveralHostsAlone) {
  const std::string reason = emulation::Hosts::cannot();
  if (!reason.empty()) {
    std::printf("WAIVED: bench --link: %s\n", reason.c_str());
    GTEST_SKIP() << reason;
  }
  const TestFolder place;
  const auto told = [&](const std::string& link) {
    return Names{"--dry-run",   "--model",
                 "linear",      "--dataset",
                 "features100", "--mode",
                 "ddp",         "--gpus",
                 "4",           "--device",
                 "cpu",         "--backend",
                 "hier",        "--ranks-per-host",
                 "2",           "--link",
                 link,          "--out",
                 place / "out"};
  };
  ProgramRun there("bench", told("1gbit"));
  ASSERT_EQ(there.status(), 0) << there.process().err();
  EXPECT_NE(there.process().out().find("2 ranks on each of 2 hosts, cables of 1gbit: "),
            std::string::npos);
  ProgramRun and_here("bench", told("1gbit,none"));
  expect_refusal(and_here, 2, {"--backend hier is for ranks on several hosts"});
}

}  // namespace
}  // namespace lockstep::bench
