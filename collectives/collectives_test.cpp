// `bench collectives` as a user runs it.
#include <nlohmann/json.hpp>

#include "collectives/command_line.h"
#include "tests/program_run.h"

namespace lockstep::collectives {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

Words quick(const Words& more) {
  Words words = {"collectives", "-b", "8",  "-e", "4K",        "-f",  "8",
                 "-n",          "2",  "-w", "1",  "--backend", "gloo"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(Collectives, EachIsTimedCheckedAndKept) {
  const TestFolder place;
  ProgramRun run("bench", quick({"--collective", "all", "--algorithm",
                                 "backend,ring,tree,halving-doubling", "--gpus", "3",
                                 "--out", place / "figures"}));
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_EQ(run.process().err(), "");
  EXPECT_EQ(run.temporary_files(), Words{});

  std::map<std::string, int> sizes;
  for (const std::string& line : lines_of(read_text(place / "figures"))) {
    const Json json = Json::parse(line);
    ++sizes[json.at("collective").get<std::string>() + " " +
            json.at("algorithm").get<std::string>()];
    EXPECT_EQ(json.at("backend"), "gloo");
    EXPECT_EQ(json.at("ranks"), 3);
    EXPECT_EQ(json.at("wrong"), 0) << line;
    EXPECT_GT(json.at("time_us").get<double>(), 0) << line;
    for (const char* key : {"date", "commit", "cpu", "bytes", "busbw_gb_per_s"}) {
      EXPECT_TRUE(json.contains(key)) << key;
    }
  }
  EXPECT_EQ(sizes, (std::map<std::string, int>{{"memcpy none", 4},
                                               {"all_reduce backend", 4},
                                               {"all_reduce ring", 4},
                                               {"all_reduce tree", 4},
                                               {"all_reduce halving-doubling", 4},
                                               {"broadcast backend", 4},
                                               {"reduce backend", 4},
                                               {"reduce_scatter backend", 4},
                                               {"all_gather backend", 4}}));
  const Words table = lines_of(run.process().out());
  EXPECT_EQ(table.size(), 9u * (2 + 4)) << run.process().out();
  EXPECT_NE(table[6].find("all_reduce, algorithm backend, backend gloo, 3 ranks"),
            std::string::npos);
  EXPECT_NE(table[7].find("busbw(GB/s)  #wrong  busbw/memcpy"), std::string::npos);
}

TEST(Collectives, WhatABackendCannotIsWaivedAndTheRestMeasured) {
  const TestFolder place;
  ProgramRun run("bench", {"collectives", "-b", "8", "-e", "8", "--backend", "shm,gloo",
                           "--algorithm", "ring,backend", "--out", place / "figures"});
  ASSERT_EQ(run.status(), 0) << run.process().err();
  EXPECT_NE(run.process().out().find("# all_reduce, algorithm ring: waived"),
            std::string::npos)
      << run.process().out();
  std::vector<std::string> made;
  for (const std::string& line : lines_of(read_text(place / "figures"))) {
    const Json json = Json::parse(line);
    made.push_back(json.at("backend").get<std::string>() + " " +
                   json.at("algorithm").get<std::string>());
    EXPECT_EQ(json.at("wrong"), 0) << line;
  }
  EXPECT_EQ(made, (Words{"shm none", "shm backend", "gloo none", "gloo ring",
                         "gloo backend"}));
}

TEST(Collectives, WhatCannotBeIsRefusedInOneLine) {
  const std::vector<std::pair<Words, Words>> table = {
      {{"--backend", "glooo"}, {"unknown backend", "'gloo'"}},
      {{"--collective", "all_reduces"}, {"unknown collective", "'all_reduce'"}},
      {{"--algorithm", "rong"}, {"unknown algorithm", "'ring'"}},
      {{"-e", "4X"}, {"-e 4X", "64M"}},
      {{"-b", "8K", "-e", "4K"}, {"-e 4096", "-b 8192"}},
      {{"-f", "1"}, {"-f 1", "2 or more"}},
      {{"-f", "2", "-i", "4K"}, {"--stepbytes", "--stepfactor"}},
      {{"-i", "0"}, {"-i 0", "number of bytes"}},
      {{"-d", "half"}, {"-d half", "only float"}},
      {{"-o", "prod"}, {"-o prod", "only sum"}},
      {{"-r", "1"}, {"-r 1", "only 0"}},
      {{"--gpus", "0"}, {"--gpus 0", "1 to 64"}},
      {{"--nonsense"}, {"--nonsense", "--help"}},
  };
  for (const auto& [arguments, words] : table) {
    Words all = {"collectives"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    ProgramRun run("bench", all);
    expect_refusal(run, 2, words);
  }
  const TestFolder place;
  ProgramRun run("bench", quick({"--out", place / "none/figures"}));
  expect_refusal(run, 1, {place / "none/figures"});
}

TEST(Collectives, SizesAreReadAndStepAsInNcclTests) {
  EXPECT_EQ(bytes_of("-b", "8"), 8);
  EXPECT_EQ(bytes_of("-b", "4K"), 4096);
  EXPECT_EQ(bytes_of("-b", "64M"), 64 << 20);
  EXPECT_EQ(bytes_of("-b", "1g"), 1 << 30);
  for (const char* bad : {"", "K", "0", "-1", "4KB", "65G", "99999999999999999999"}) {
    EXPECT_THROW(bytes_of("-b", bad), std::invalid_argument) << bad;
  }
  const Options options = parse({"-b", "8", "-e", "4K", "-f", "8"});
  EXPECT_EQ(sizes_of(options), (std::vector<int64_t>{8, 64, 512, 4096}));
  EXPECT_EQ(arguments_of(parse(arguments_of(options))), arguments_of(options));
  const Options steps = parse({"-b", "8", "-e", "20", "-i", "5", "-d", "float", "--op",
                               "sum", "--root", "0", "--warmup_iters", "3"});
  EXPECT_EQ(sizes_of(steps), (std::vector<int64_t>{8, 13, 18}));
  EXPECT_EQ(steps.rounds.warmup, 3);
  EXPECT_EQ(sizes_of(parse(arguments_of(steps))), sizes_of(steps));
}

}  // namespace
}  // namespace lockstep::collectives
