// --trace: what a program did in three of its steps, as any viewer of Chrome traces
// reads it. Each card's work has a lane, and on it the stages of a step.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/program_run.h"
#include "tests/refused_input.h"

namespace lockstep {
namespace {

using nlohmann::json;

struct Range {
  std::string name;
  std::string category;
  double begin = 0;
  double end = 0;
};

// By the lane's name; two lanes of one name fail the test.
std::map<std::string, std::vector<Range>> lanes_of(const std::string& path) {
  const json trace = json::parse(read_text(path));
  std::map<std::string, std::string> names;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("name") != "thread_name") continue;
    const std::string lane = event.at("pid").dump() + "/" + event.at("tid").dump();
    EXPECT_TRUE(names.emplace(lane, event.at("args").at("name")).second) << lane;
  }
  std::map<std::string, std::string> lane_of_name;
  std::map<std::string, std::vector<Range>> lanes;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("pid") == "Spans") continue;
    const std::string lane = event.at("pid").dump() + "/" + event.at("tid").dump();
    const std::string& name = names.at(lane);
    EXPECT_EQ(lane_of_name.emplace(name, lane).first->second, lane) << name;
    const double begin = event.at("ts");
    lanes[name].push_back({event.at("name"), event.value("cat", ""), begin,
                           begin + event.at("dur").get<double>()});
  }
  return lanes;
}

// Ranges of one lane lie inside each other or apart.
void expect_nested(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  constexpr double kRounding = 0.01;  // of microseconds
  std::vector<Range> open;
  for (const Range& range : ranges) {
    while (!open.empty() && open.back().end <= range.begin + kRounding) open.pop_back();
    if (!open.empty()) {
      EXPECT_LE(range.end, open.back().end + kRounding)
          << range.name << " ends after " << open.back().name << ", where it began";
    }
    open.push_back(range);
  }
}

// The stages inside the step's range.
std::set<std::string> stages_in(const std::vector<Range>& lane, const Range& step) {
  std::set<std::string> stages;
  for (const Range& range : lane) {
    const bool inside = range.begin >= step.begin && range.end <= step.end;
    const bool stage =
        range.category == "user_annotation" && range.name.rfind("step ", 0) != 0;
    if (inside && (stage || range.category == "collective")) stages.insert(range.name);
  }
  return stages;
}

const std::vector<std::string> kSteps = {"step 3", "step 4", "step 5"};

struct TraceCase {
  std::string program;
  std::vector<std::string> more;
  // Of each file, by its name: the lanes that it holds, and each one's stages (of a
  // lane of communication: its collectives) in every step.
  std::map<std::string, std::map<std::string, std::set<std::string>>> files;
};

void check(const TraceCase& each, const std::string& steps = "8",
           const std::vector<std::string>& traced = kSteps) {
  SCOPED_TRACE(each.program);
  const TestFolder folder;
  std::vector<std::string> arguments = {"--model",   "convnet",  "--dataset",
                                        "synthetic", "--device", "cpu",
                                        "--steps",   steps,      "--batch-size",
                                        "4",         "--quiet",  "--threads-per-card",
                                        "1",         "--trace",  folder / "t.json"};
  arguments.insert(arguments.end(), each.more.begin(), each.more.end());
  ProgramRun run(each.program, arguments);
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_EQ(run.process().err(), "") << "Kineto is silent";
  EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
  EXPECT_EQ(folder.names().size(), each.files.size());
  for (const auto& [file, expected] : each.files) {
    const auto lanes = lanes_of(folder / file);
    ASSERT_EQ(lanes.size(), expected.size()) << file;
    std::vector<Range> found;
    for (const auto& [name, ranges] : lanes) {
      ASSERT_EQ(expected.count(name), 1U) << file << " has a lane " << name;
      expect_nested(ranges);
      std::copy_if(
          ranges.begin(), ranges.end(), std::back_inserter(found),
          [](const Range& range) { return range.name.rfind("step ", 0) == 0; });
    }
    ASSERT_EQ(found.size(), traced.size()) << file;
    for (size_t i = 0; i < traced.size(); ++i) {
      EXPECT_EQ(found[i].name, traced[i]);
      for (const auto& [name, stages] : expected) {
        EXPECT_EQ(stages_in(lanes.at(name), found[i]), stages) << file << " " << name;
      }
    }
  }
}

const std::set<std::string> kOneCard = {"data", "forward", "loss", "backward",
                                        "optimizer"};
std::set<std::string> with(std::set<std::string> stages, const std::string& more) {
  stages.insert(more);
  return stages;
}

TEST(Trace, OneCardsStepsAndStages) {
  check({"single_gpu", {}, {{"t.json", {{"card 0", kOneCard}}}}});
}

TEST(Trace, TheLastStepsWhereFewArePlanned) {
  check({"single_gpu", {}, {{"t.json", {{"card 0", kOneCard}}}}}, "2",
        {"step 0", "step 1"});
}

TEST(Trace, EachRankLeavesItsOwn) {
  const auto stages = with(kOneCard, "exposed_comm");
  // Batch norm's statistics, and all gradients in one bucket.
  const std::set<std::string> collectives = {"broadcast 0", "all_reduce 0"};
  check({"ddp",
         {"--gpus", "2"},
         {{"t.json", {{"card 0", stages}, {"card 0 communication", collectives}}},
          {"t.rank1.json",
           {{"card 1", stages}, {"card 1 communication", collectives}}}}});
}

// A message a parameter, one after the other. The clocks agree: each lies in the stage
// that waits for it, though two clocks were read.
TEST(Trace, CollectivesLieInTheStageThatWaitsForThem) {
  const TestFolder folder;
  ProgramRun run("ddp", {"--gpus", "2", "--model", "mlp", "--dataset", "synthetic",
                         "--device", "cpu", "--steps", "2", "--quiet", "--reducer",
                         "naive", "--trace", folder / "t.json"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  constexpr double kClocks = 100;  // microseconds
  for (const int rank : {0, 1}) {
    const std::string card = "card " + std::to_string(rank);
    const auto lanes = lanes_of(folder / (rank == 0 ? "t.json" : "t.rank1.json"));
    ASSERT_EQ(lanes.count(card + " communication"), 1U);
    const std::vector<Range>& collectives = lanes.at(card + " communication");
    ASSERT_EQ(collectives.size(), 2 * 4U);  // two layers' weights and biases
    for (const Range& one : collectives) {
      const auto& stages = lanes.at(card);
      EXPECT_TRUE(std::any_of(stages.begin(), stages.end(),
                              [&](const Range& stage) {
                                return stage.name == "exposed_comm" &&
                                       stage.begin - kClocks <= one.begin &&
                                       one.end <= stage.end + kClocks;
                              }))
          << one.name << " from " << one.begin << " to " << one.end;
      EXPECT_LT(one.begin, one.end);
    }
    EXPECT_EQ(collectives.front().name, "all_reduce 0");
    EXPECT_EQ(collectives.back().name, "all_reduce 3");
  }
}

TEST(Trace, DataParallelsThreadsAreLanes) {
  const std::set<std::string> every = {"scatter", "replicate", "forward",
                                       "gather",  "backward",  "reduce"};
  std::set<std::string> primary = with(kOneCard, "exposed_comm");
  primary.insert(every.begin(), every.end());
  check({"data_parallel",
         {"--gpus", "2"},
         {{"t.json", {{"card 0", primary}, {"card 1", every}}}}});
  check({"data_parallel",
         {"--gpus", "3", "--dp-loss", "replica", "--dp-reduce", "tree"},
         {{"t.json",
           {{"card 0", primary},
            {"card 1", with(every, "loss")},
            {"card 2", with(every, "loss")}}}}});
}

const std::vector<std::string> kQuick = {"--model",     "linear",   "--dataset",
                                         "features100", "--device", "cpu",
                                         "--steps",     "4",        "--quiet"};

TEST(Trace, APathThatCannotBeWrittenIsRefusedBeforeAnyStep) {
  ProgramRun run("single_gpu", {"--trace", "/no/such/folder/t.json"});
  expect_refusal(run, 1, {"--trace /no/such/folder/t.json cannot be written"});

  const TestFolder place;
  std::filesystem::create_directory(place / "t.rank1.json");
  ProgramRun rank("ddp", joined(kQuick, {"--gpus", "2", "--trace", place / "t.json"}));
  expect_refusal(rank, 1, {"t.rank1.json cannot be written: Is a directory"});
}

TEST(Trace, IsNotTheMetricsFile) {
  const TestFolder place;
  const std::string file = place / "t.json";
  refuse("single_gpu", {joined(kQuick, {"--trace", file, "--metrics-file", file}),
                        2,
                        {"--metrics-file and --trace would both write " + file}});
  refuse("data_parallel",
         {joined(kQuick, {"--report-file", file, "--metrics-file", place / "./t.json"}),
          2,
          {"--metrics-file and --report-file would both write " + file}});
  refuse("ddp", {joined(kQuick, {"--gpus", "2", "--trace", file, "--report-file",
                                 place / "t.rank1.json"}),
                 2,
                 {"--report-file and --trace would both write", "t.rank1.json"}});
  EXPECT_EQ(place.names(), std::vector<std::string>{});
}

// Whichever of them cannot be written, the others are.
TEST(Trace, AFullDiskCostsNoOtherOutput) {
  const std::vector<std::pair<std::string, std::string>> outputs = {
      {"--metrics-file", "m"}, {"--report-file", "r"}, {"--trace", "t"}};
  for (const auto& [full, unwritten] : outputs) {
    const TestFolder place;
    std::vector<std::string> arguments = kQuick;
    std::vector<std::string> written;
    for (const auto& [option, name] : outputs) {
      const bool is_full = option == full;
      arguments.insert(arguments.end(), {option, is_full ? "/dev/full" : place / name});
      if (!is_full) written.push_back(name);
    }
    SCOPED_TRACE(full);
    ProgramRun run("single_gpu", arguments);
    expect_refusal(run, 1, {"cannot write /dev/full: No space left on device"});
    EXPECT_EQ(place.names(), written);
  }
}

// A name that can be told before could be somebody's link to a file of the user's.
TEST(Trace, ItsTemporaryFileOverwritesNothing) {
  const TestFolder place;
  write_text(place / "precious", "kept");
  std::string command = "ln -s " + (place / "precious") +
                        " $TMPDIR/lockstep-trace-$$.json; exec " +
                        program_path("single_gpu") + " --trace " + (place / "t.json");
  for (const std::string& argument : kQuick) command += " " + argument;
  ProgramRun run("/bin/sh", {"-c", command});
  EXPECT_EQ(run.status(), 0) << run.process().err();
  EXPECT_EQ(read_text(place / "precious"), "kept");
  EXPECT_EQ(lanes_of(place / "t.json").count("card 0"), 1U);
  EXPECT_EQ(run.temporary_files().size(), 1U) << "the link";
}

}  // namespace
}  // namespace lockstep
