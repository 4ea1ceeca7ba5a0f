// `bench` as a user runs it, quickly: the files it leaves, and what becomes of cases
// that disagree or fail. The programs that lie here are scripts beside a copy of bench:
// bench itself has no way to be lied to.
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "rows/row.h"
#include "tests/program_run.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using rows::Row;

std::vector<std::string> quick(const std::string& out, std::vector<std::string> more) {
  std::vector<std::string> arguments = {
      "--model", "linear", "--dataset", "features100", "--device",      "cpu",
      "--steps", "5",      "--warmup",  "1",           "--repetitions", "2",
      "--out",   out};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Json iterations(const std::string& path) {
  Json runs = Json::array();
  const Json file = Json::parse(read_text(path));
  for (const Json& entry : file.at("benchmarks")) {
    if (entry.at("run_type") == "iteration") runs.push_back(entry);
  }
  return runs;
}

std::string case_of(const Json& entry) {
  const std::string name = entry.at("name");
  return name.substr(0, name.find("/iterations:"));
}

bool has_ranks(const std::string& name) {
  return name.rfind("ddp", 0) == 0 || name.rfind("horovod", 0) == 0;
}

// One good run for all tests that read its files.
class GoodRun : public testing::Test {
 protected:
  struct Result {
    TestFolder place;
    std::string out = place / "out";
    int status = -1;
    std::string table, errors;
    std::vector<std::string> left_behind;
  };
  static const Result& result() {
    static const auto made = [] {
      auto result = std::make_unique<Result>();
      ProgramRun run("bench",
                     quick(result->out, {"--gpus", "1,2", "--memory-timeline"}));
      result->status = run.status();
      result->table = run.process().out();
      result->errors = run.process().err();
      result->left_behind = run.temporary_files();
      return result;
    }();
    return *made;
  }
};

TEST_F(GoodRun, LeavesItsFilesAndNothingElse) {
  ASSERT_EQ(result().status, 0) << result().errors;
  EXPECT_EQ(result().left_behind, std::vector<std::string>{});
  std::vector<std::string> expected = {"out", "out/charts"};
  for (const char* chart :
       {"losses", "memory", "overlap", "phases", "throughput", "timeline"}) {
    for (const char* kind : {".png", ".svg"})
      expected.push_back(std::string("out/charts/") + chart + kind);
  }
  expected.insert(expected.end(),
                  {"out/index.html", "out/results.json", "out/runs.jsonl"});
  EXPECT_EQ(result().place.names(), expected);
}

TEST_F(GoodRun, PrintsATable) {
  const std::vector<std::string> lines = lines_of(result().table);
  // A head, seven cases, two ratios below a head of theirs, and the page.
  ASSERT_EQ(lines.size(), 12u) << result().table;
  const std::vector<std::string> starts = {
      "linear         single      1", "linear         dp          1",
      "linear         dp          2", "linear         ddp         1",
      "linear         ddp         2", "linear         horovod     1",
      "linear         horovod     2"};
  for (size_t i = 0; i < starts.size(); ++i) {
    EXPECT_EQ(lines[i + 1].rfind(starts[i], 0), 0u) << lines[i + 1];
    EXPECT_NE(lines[i + 1].find("emulated"), std::string::npos) << lines[i + 1];
  }
  EXPECT_EQ(lines.back(), result().out + "/index.html");
}

TEST_F(GoodRun, ARowSaysEverythingMeasured) {
  const std::vector<Row> rows = rows::read_rows(result().out + "/runs.jsonl");
  std::multiset<std::string> names;
  for (const Row& row : rows) {
    names.insert(row.name);
    SCOPED_TRACE(row.name);
    EXPECT_EQ(row.status, "ok") << row.message;
    EXPECT_EQ(row.threads_per_card, rows.front().threads_per_card);
    EXPECT_EQ(row.dataset, "features100");
    EXPECT_EQ(row.device, "cpu");
    EXPECT_EQ(row.scaling, "weak");
    EXPECT_EQ(row.local_batch, 64);
    EXPECT_EQ(row.global_batch, 64 * row.cards);
    EXPECT_EQ(row.warmup_steps, 1);
    EXPECT_EQ(row.step_ms.size(), 6u);
    ASSERT_EQ(row.losses.size(), 6u);
    for (const double loss : row.losses) EXPECT_TRUE(std::isfinite(loss));
    ASSERT_EQ(row.memory.size(), static_cast<size_t>(row.cards));
    for (const rows::CardRow& card : row.memory) {
      EXPECT_GT(card.peak_bytes, 0);
      EXPECT_EQ(card.timeline.has_value(), row.repetition == 0) << "a case's first row";
    }
    EXPECT_EQ(row.phases_ms.count("comm"), has_ranks(row.mode) ? 1u : 0u);
    for (const char* phase :
         {"data", "forward", "backward", "exposed_comm", "optimizer"}) {
      EXPECT_EQ(row.phases_ms.count(phase), 1u) << phase;
    }
    EXPECT_GE(row.flags.size(), 1u);
    EXPECT_FALSE(row.date.empty() || row.commit.empty() || row.machine.cpu.empty());
    EXPECT_TRUE(row.rss_peak_bytes && !row.accuracy);
    EXPECT_EQ(row.flops_per_step, row.global_batch * 4000) << "of 100 -> 10";
  }
  std::multiset<std::string> expected;
  for (const char* name :
       {"single/linear/cards:1", "dp/linear/cards:1", "dp/linear/cards:2",
        "ddp/linear/cards:1", "ddp/linear/cards:2", "horovod/linear/cards:1",
        "horovod/linear/cards:2"})
    expected.insert({name, name});
  EXPECT_EQ(names, expected);
}

TEST_F(GoodRun, RepetitionsGoRoundTheCasesThereAndBack) {
  std::vector<std::string> first, second;
  for (const Row& row : rows::read_rows(result().out + "/runs.jsonl")) {
    if (row.repetition == 0) EXPECT_TRUE(second.empty()) << row.name;
    (row.repetition == 0 ? first : second).push_back(row.name);
  }
  EXPECT_EQ(first.size(), 7u);
  EXPECT_EQ(second, std::vector<std::string>(first.rbegin(), first.rend()));
}

TEST_F(GoodRun, CountersAreFiniteAndTheUnmeasuredAreAbsent) {
  const Json runs = iterations(result().out + "/results.json");
  ASSERT_EQ(runs.size(), 14u);
  for (const Json& run : runs) {
    const std::string name = case_of(run);
    SCOPED_TRACE(name);
    for (const auto& [key, value] : run.items()) {
      EXPECT_TRUE(!value.is_number() || std::isfinite(value.get<double>())) << key;
    }
    for (const char* key :
         {"samples_per_second", "step_p50_ms", "step_p95_ms", "forward_ms",
          "backward_ms", "optimizer_ms", "data_ms", "card0_peak_bytes", "cards",
          "threads_per_card", "local_batch", "global_batch", "loss",
          "scaling_efficiency", "tflops"}) {
      ASSERT_TRUE(run.contains(key)) << key;
      EXPECT_GT(run.at(key).get<double>(), 0) << key;
    }
    const bool two = name.find("cards:2") != std::string::npos;
    EXPECT_EQ(run.contains("card1_peak_bytes"), two);
    EXPECT_FALSE(run.contains("card2_peak_bytes"));
    EXPECT_EQ(run.contains("memory_imbalance"), two);
    EXPECT_EQ(run.contains("comm_ms"), has_ranks(name)) << run;
    const bool single = name == "single/linear/cards:1";
    EXPECT_EQ(run.contains("exposed_comm_ms"), !single) << run;
    if (single) EXPECT_EQ(run.at("scaling_efficiency"), 1.0);
  }
}

TEST_F(GoodRun, GoogleBenchmarksCompareReadsTwo) {
  const TestFolder other;
  const auto dp = quick(other / "out", {"--mode=dp", "--gpus=2", "--no-page"});
  ProgramRun second("bench", dp);
  ASSERT_EQ(second.status(), 0) << second.process().err();
  ProgramRun compare(std::getenv("LOCKSTEP_PYTHON"),
                     {"/usr/share/benchmark/compare.py", "benchmarks",
                      result().out + "/results.json", other / "out/results.json"});
  EXPECT_EQ(compare.status(), 0) << compare.process().err();
  const std::string out = compare.process().out();
  for (auto name : {"single/linear/cards:1", "dp/linear/cards:2"})
    EXPECT_NE(out.find(name), std::string::npos) << out;
}

// A folder of programs for a copy of bench: those not replaced are the real ones.
class Programs {
 public:
  Programs() {
    fs::copy_file(program_path("bench"), bench());
    for (auto name : {"single_gpu", "data_parallel", "ddp", "horovod", "report"}) {
      fs::create_symlink(program_path(name), folder_ / name);
    }
  }
  std::string bench() const { return folder_ / "bench"; }
  // `lines` of bash stand before the real program is run with "${arguments[@]}".
  void spoil(const std::string& name, const std::string& lines) const {
    fs::remove(folder_ / name);
    write_text(folder_ / name, "#!/bin/bash\narguments=(\"$@\")\n" + lines + "\nexec " +
                                   program_path(name) + " \"${arguments[@]}\"\n");
    fs::permissions(folder_ / name, fs::perms::owner_all);
  }

 private:
  TestFolder folder_;
};

// The programs verify themselves over 10 steps; 6 are the timed runs'.
constexpr char kFailsWhenTimed[] =
    "[[ \"$*\" == *'--steps 6 '* && \"$*\" != *--dry-run* ]] && "
    "{ echo 'data_parallel: no luck today' >&2; exit 1; }";
constexpr char kTrainsFaster[] =
    "for i in \"${!arguments[@]}\"; do\n"
    "  [ \"${arguments[i]}\" = --lr ] && arguments[i + 1]=0.011\n"
    "done";

TEST(Cases, ThatTheFilterLeavesOutAreNotRunAndReferencesOnce) {
  const Programs programs;
  const TestFolder place;
  programs.spoil("ddp", "exit 3");
  programs.spoil("single_gpu", "echo \"$*\" >>" + place / "told");
  ProgramRun run(
      programs.bench(),
      quick(place / "out", {"--mode=dp,ddp", "--gpus=2", "--no-page",
                            "--dp-loss=primary,replica", "--benchmark_filter=-ddp"}));
  EXPECT_EQ(run.status(), 0) << run.process().err();
  const std::vector<std::string> told = lines_of(read_text(place / "told"));
  const auto reference = [](const std::string& line) {
    return line.find("--accumulate 2") != std::string::npos;
  };
  EXPECT_EQ(std::count_if(told.begin(), told.end(), reference), 1);
}

TEST(BadRun, ACaseThatDisagreesOrFailsHasAnErrorAndNoNumber) {
  const Programs programs;
  programs.spoil("ddp", kTrainsFaster);
  programs.spoil("data_parallel", kFailsWhenTimed);
  const TestFolder place;
  ProgramRun run(programs.bench(), quick(place / "out", {"--mode=dp,ddp", "--gpus=2"}));
  EXPECT_EQ(run.status(), 1);
  const std::string errors = run.process().err();
  EXPECT_NE(errors.find("ddp/linear/cards:2  ERROR: loss "), std::string::npos)
      << errors;
  EXPECT_NE(errors.find("at step 1 where one card"), std::string::npos) << errors;
  EXPECT_NE(errors.find("dp/linear/cards:2  agrees"), std::string::npos) << errors;

  std::map<std::string, int> count;
  for (const Row& row : rows::read_rows(place / "out/runs.jsonl")) {
    ++count[row.mode + " " + row.status];
    if (row.mode == "single") continue;
    EXPECT_TRUE(row.step_ms.empty() && row.losses.empty() && row.memory.empty())
        << row.name;
    EXPECT_NE(row.message.find(row.mode == "dp" ? "no luck today"
                                                : "at step 1 where one card"),
              std::string::npos)
        << row.message;
  }
  EXPECT_EQ(count, (std::map<std::string, int>{
                       {"single ok", 2}, {"dp error", 2}, {"ddp error", 1}}));

  const Json entries = iterations(place / "out/results.json");
  EXPECT_GE(entries.size(), 4u);
  for (const Json& entry : entries) {
    const bool single = case_of(entry).rfind("single", 0) == 0;
    EXPECT_EQ(entry.value("error_occurred", false), !single) << entry;
    EXPECT_EQ(entry.contains("samples_per_second"), single) << entry;
  }
  const std::string page = read_text(place / "out/index.html");
  for (const std::string& text : {run.process().out(), page}) {
    EXPECT_NE(text.find("no luck today"), std::string::npos);
    EXPECT_NE(text.find("at step 1 where one card"), std::string::npos);
  }
}

TEST(BadRun, WithoutOneNumberTheOldFilesStay) {
  const Programs programs;
  programs.spoil("single_gpu", "[[ \"$*\" == *--dry-run* ]] || exit 3");
  const TestFolder place;
  write_text(place / "runs.jsonl", "old\n");
  ProgramRun run(programs.bench(), quick(place / "", {"--mode", "single"}));
  EXPECT_EQ(run.status(), 1);
  const std::string errors = run.process().err();
  EXPECT_NE(errors.find("single/linear/cards:1 exited with status 3"),
            std::string::npos)
      << errors;
  EXPECT_NE(errors.find("no case could be measured"), std::string::npos) << errors;
  EXPECT_EQ(place.names(), std::vector<std::string>{"runs.jsonl"});
  EXPECT_EQ(read_text(place / "runs.jsonl"), "old\n");
}

}  // namespace
}  // namespace lockstep::bench
