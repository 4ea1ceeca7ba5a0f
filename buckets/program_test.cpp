// The program itself: what it prints and leaves, and that an error is one line and no
// file.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/program_run.h"
#include "tests/run_times.h"

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string slow_run(int64_t steps = 100) {
  return timing::to_json_lines(made_up(
      {.steps = steps, .hosts = 2, .factor = [](int64_t step, int rank, const char*) {
         return rank == 1 && step == 57 ? 1.3 : 1.0;
       }}));
}

const std::vector<std::string> kLeft = {
    "step.png",   "step.svg",      "stragglers.png", "stragglers.svg",
    "trace.json", "waterfall.png", "waterfall.svg"};

TEST(Buckets, NamesTheRankAndLeavesPicturesAndATrace) {
  const TestFolder folder;
  write_text(folder / "times", slow_run());
  ProgramRun run("buckets", {folder / "times", "--out", folder / "out"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  const std::string out = run.process().out();
  EXPECT_TRUE(
      contains(out, "made up, bucketed over gloo: 2 ranks on 2 hosts, 100 steps."))
      << out;
  EXPECT_TRUE(contains(out, "- Rank 1 (host b) is late in step 57: ")) << out;
  EXPECT_TRUE(contains(out, folder / "out/trace.json\n")) << out;
  std::vector<std::string> left;
  for (const auto& file : std::filesystem::directory_iterator(folder / "out")) {
    left.push_back(file.path().filename());
  }
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, kLeft) << "and nothing beside them";
  const std::string heat = read_text(folder / "out/stragglers.svg");
  EXPECT_TRUE(contains(heat, "rank 1 (host b)"));
  EXPECT_TRUE(
      contains(read_text(folder / "out/step.svg"), "Step 57, bucket by bucket"));

  // A script that knows nothing of our code reads the trace, all ranks of it.
  launch::Command command;
  command.argv = {std::getenv("LOCKSTEP_PYTHON"),
                  std::getenv("LOCKSTEP_SOURCE") + std::string("/tests/overlap.py"),
                  folder / "out/trace.json"};
  command.out = command.err = launch::Output::kCapture;
  launch::Process check(command);
  EXPECT_EQ(check.wait().code, 0) << check.err();
  const auto figures = nlohmann::json::parse(check.out());
  for (const char* card : {"card 0", "card 1"}) {
    ASSERT_EQ(figures.at(card).size(), 100U) << card;
    const auto& step = figures.at(card).at(50);
    EXPECT_EQ(step.at("step"), 50);
    EXPECT_NEAR(step.at("exposed_ms"), 0.5, 0.2) << "the last collective";
  }
}

TEST(Buckets, WhatCannotBeReadIsOneLineAndNoFile) {
  const TestFolder folder;
  const std::string good = slow_run(4);
  write_text(folder / "cut", good.substr(0, good.size() - 9));
  write_text(folder / "empty", "");
  write_text(folder / "stepless", good.substr(0, good.find('\n') + 1));
  write_text(folder / "row", "{\"schema\": 1, \"model\": \"mlp\"}\n");  // of bench
  std::filesystem::create_directory(folder / "folder");
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"none", "does not exist; `ddp --bucket-times"},
      {"cut", "cut: line 9: not valid JSON at byte"},
      {"empty", "empty: line 1: the file is empty"},
      {"stepless", "holds no step"},
      {"row",
       "row: line 1: there is no \"world_size\"; `ddp --bucket-times` makes a whole "
       "one"},
      {"folder", "folder is a folder; name the file of `ddp --bucket-times`"},
  };
  for (const auto& [file, words] : wrong) {
    ProgramRun run("buckets", {folder / file, "--out", folder / "out"});
    expect_refusal(run, 1, {"buckets: ", folder / file, words});
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  // A script that reads on would take half a table for all of it.
  write_text(folder / "good", good);
  launch::Command full;
  full.argv = {"/bin/sh", "-c", "\"$0\" \"$1\" > /dev/full", program_path("buckets"),
               folder / "good"};
  full.err = launch::Output::kCapture;
  launch::Process unwritten(full);
  EXPECT_EQ(unwritten.wait().code, 1);
  EXPECT_EQ(unwritten.err(),
            "buckets: cannot write to standard output; is the disk full?\n");
  ProgramRun nothing("buckets", {});
  expect_refusal(nothing, 2, {"buckets: FILE is required", "see buckets --help"});
}

// All files or none: what draws is not there, and what stood there stays.
TEST(Buckets, WhereNothingDrawsTheFolderStaysAsItWas) {
  const TestFolder folder;
  write_text(folder / "times", slow_run(4));
  std::filesystem::create_directory(folder / "out");
  write_text(folder / "out/trace.json", "an older one");
  ProgramRun run("buckets", {folder / "times", "--out", folder / "out"},
                 {{"LOCKSTEP_PYTHON", "/no/python"}});
  expect_refusal(run, 1, {"/no/python: the Python that draws the charts is not there"});
  EXPECT_EQ(read_text(folder / "out/trace.json"), "an older one");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "out"), {}), 1);
  ProgramRun file("buckets", {folder / "times", "--out", folder / "times"});
  expect_refusal(file, 1, {"times: cannot write there"});
}

}  // namespace
}  // namespace lockstep
