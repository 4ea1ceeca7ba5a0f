// `bench --peers`: the Python peer and the bound beside ours, on real images, and what
// becomes of a peer that cannot run or computes something else.
#include <cmath>
#include <functional>
#include <map>
#include <thread>

#include "rows/row.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;
using rows::Row;

// In the environment of every process that comes of this test.
constexpr char kMark[] = "LOCKSTEP_PEERS_TEST";

std::string mark() { return std::to_string(getpid()); }

ProgramRun bench(const std::string& out, const std::vector<std::string>& more,
                 launch::Environment environment = {}, const char* steps = "12") {
  std::vector<std::string> arguments = {"--gpus",        "2",   "--model",  "mlp",
                                        "--steps",       steps, "--warmup", "2",
                                        "--repetitions", "1",   "--out",    out};
  arguments.insert(arguments.end(), more.begin(), more.end());
  environment[kMark] = mark();
  return {"bench", arguments, environment};
}

// Command lines of the processes that are still there, by their numbers.
std::map<int, std::string> left_behind() {
  std::map<int, std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string process = entry.path().string();
    const std::string environment = read_text(process + "/environ");
    if (environment.find(std::string(kMark) + "=" + mark()) == std::string::npos)
      continue;
    std::string line = read_text(process + "/cmdline");
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.empty()) continue;  // a zombie
    found[std::stoi(entry.path().filename().string())] = line;
  }
  return found;
}

bool is_there(const std::string& program, const std::string& but_not_of = "") {
  for (const auto& [pid, line] : left_behind()) {
    if (line.find(program) == std::string::npos) continue;
    if (but_not_of.empty() || line.find(but_not_of) == std::string::npos) return true;
  }
  return false;
}

// Should the test fail, what it left does not run for ever.
struct EndTheLeft {
  ~EndTheLeft() {
    for (const auto& [pid, line] : left_behind()) kill(pid, SIGKILL);
  }
};

void expect_equal(const std::vector<double>& losses, const std::vector<double>& ours) {
  ASSERT_EQ(losses.size(), ours.size());
  for (size_t step = 0; step < ours.size(); ++step)
    EXPECT_NEAR(losses[step], ours[step], 1e-5 * ours[step]) << step;
}

TEST(Peers, AreRowsBesideOurs) {
  const TestFolder place;
  ProgramRun run = bench(place / "out", {"--mode", "ddp", "--peers", "c10d,python"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
  EXPECT_EQ(left_behind(), (std::map<int, std::string>{}));

  std::map<std::string, std::vector<Row>> rows;
  for (const Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(row.status, "ok") << row.message;
    EXPECT_EQ(row.threads_per_card, 1);
    EXPECT_EQ(row.step_ms.size(), 14u);
    for (const double ms : row.step_ms) EXPECT_TRUE(std::isfinite(ms) && ms > 0) << ms;
    EXPECT_EQ(row.global_batch, 64 * row.cards);
    rows[row.name].push_back(row);
  }
  ASSERT_EQ(rows.size(), 6u);
  for (const auto& [name, repetitions] : rows) EXPECT_EQ(repetitions.size(), 1u);
  const auto losses = [&](const std::string& name) { return rows[name].at(0).losses; };
  const auto single = losses("single/mlp/cards:1");
  expect_equal(losses("single-python/mlp/cards:1"), single);
  expect_equal(losses("bound/mlp/cards:2"), single);
  expect_equal(losses("ddp-python/mlp/cards:2"), losses("ddp/mlp/cards:2"));
  expect_equal(losses("ddp-c10d/mlp/cards:2"), losses("ddp/mlp/cards:2"));
  EXPECT_EQ(rows["ddp-c10d/mlp/cards:2"].at(0).options["reducer"], "c10d");
  EXPECT_EQ(rows["bound/mlp/cards:2"].at(0).memory.size(), 2u);
  EXPECT_TRUE(rows["ddp-python/mlp/cards:2"].at(0).memory.empty());

  const std::string table = run.process().out();
  for (const char* ratio : {"1  single / single-python ", "2  ddp / ddp-python ",
                            "2  ddp / ddp-c10d ", "2  ddp / bound "}) {
    EXPECT_NE(table.find(ratio), std::string::npos) << table;
  }
  const std::string page = read_text(place / "out/index.html");
  for (const char* mode : {"single-python", "ddp-python", "ddp-c10d", "bound"}) {
    EXPECT_NE(page.find("<td>" + std::string(mode) + "</td>"), std::string::npos);
  }
}

// What the first steps compile, which takes a good part of a minute, is not timed.
TEST(Nightly, CompiledPythonIsARowBesideOurs) {
  const TestFolder place;
  ProgramRun run =
      bench(place / "out", {"--mode", "single", "--peers", "python,python-compile"},
            {{"XDG_CACHE_HOME", place / "cache"}});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
  EXPECT_TRUE(fs::exists(place / "cache/lockstep/inductor"));
  std::map<std::string, Row> rows;
  for (const Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    EXPECT_EQ(row.status, "ok") << row.message;
    rows[row.mode] = row;
  }
  ASSERT_EQ(rows.size(), 3U);
  const Row& compiled = rows["single-python-compile"];
  expect_equal(compiled.losses, rows["single"].losses);
  ASSERT_EQ(compiled.step_ms.size(), 14U);
  const double first = compiled.step_ms[0];
  for (size_t step = 2; step < 14; ++step) {
    EXPECT_LT(compiled.step_ms[step], first / 20) << "step " << step << " compiles";
  }
  const std::string table = run.process().out();
  EXPECT_NE(table.find("1  single / single-python-compile "), std::string::npos)
      << table;
}

// A Python that changes the peer's learning rate.
std::string lying_python(const TestFolder& place) {
  const std::string path = place / "python";
  write_text(path,
             "#!/bin/bash\narguments=()\nfor word in \"$@\"; do\n"
             "  [ \"$before\" = --lr ] && word=0.011\n"
             "  [ \"$word\" = --dry-run ] && exit 0\n"
             "  arguments+=(\"$word\"); before=$word\ndone\nexec " +
                 std::string(std::getenv("LOCKSTEP_PYTHON")) +
                 " \"${arguments[@]}\"\n");
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

TEST(Peers, OneThatComputesSomethingElseGetsNoNumber) {
  const TestFolder place;
  ProgramRun run = bench(place / "out",
                         {"--peers", "python", "--no-page", "--benchmark_filter=single",
                          "--mode", "single"},
                         {{"LOCKSTEP_PYTHON", lying_python(place)}});
  EXPECT_EQ(run.status(), 1);
  EXPECT_NE(run.process().err().find("single-python/mlp/cards:1  ERROR: loss "),
            std::string::npos)
      << run.process().err();
  for (const Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    EXPECT_EQ(row.status, row.mode == "single" ? "ok" : "error");
    EXPECT_EQ(row.step_ms.empty(), row.mode != "single");
  }
}

TEST(Peers, WhatCannotRunIsRefusedBeforeAnythingIsMeasured) {
  struct Refusal {
    std::vector<std::string> arguments;
    std::vector<std::string> words;
    launch::Environment environment;
  };
  const std::vector<Refusal> table = {
      {{"--peers", "pyhton"}, {"unknown peer 'pyhton'; did you mean 'python'?"}, {}},
      {{"--peers", "bound", "--device", "cuda"}, {"--device cuda", "--device cpu"}, {}},
      {{"--peers", "python", "--dataset", "synthetic"},
       {"--peers python", "synthetic", "leave python out"},
       {}},
      {{"--peers", "python"},
       {"/nowhere/python is not there", "make setup"},
       {{"LOCKSTEP_PYTHON", "/nowhere/python"}}},
  };
  for (const Refusal& one : table) {
    const TestFolder place;
    ProgramRun run = bench(place / "out", one.arguments, one.environment);
    expect_refusal(run, 2, one.words);
    EXPECT_EQ(place.names(), std::vector<std::string>{});
  }
}

// torchrun and its ranks are no programs of ours, and end all the same.
TEST(Peers, NoPythonSurvivesBench) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    SCOPED_TRACE(launch::signal_name(signal));
    const EndTheLeft afterwards;
    const TestFolder place;
    ProgramRun run =
        bench(place / "out",
              {"--mode", "ddp", "--peers", "python", "--benchmark_filter=ddp-python"},
              {}, "100000000");
    const auto wait_until = [&](const std::function<bool()>& so) {
      for (int i = 0; i < 600 && !so(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      ASSERT_TRUE(so()) << run.process().err();
    };
    // A rank of the check's, under torchrun; or, had we overlooked it, of the timed run
    // after it, which never ends by itself.
    wait_until([] { return is_there("train.py", "torch.distributed.run"); });
    run.process().send_signal(signal);
    EXPECT_EQ(run.status(), 128 + signal) << run.process().err();
    wait_until([] { return !is_there("train.py"); });
    EXPECT_EQ(left_behind(), (std::map<int, std::string>{}));
    EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace lockstep::bench
