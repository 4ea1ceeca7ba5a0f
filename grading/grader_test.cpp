// A grader's command line and the files it leaves, and the page over several of them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grading/grade.h"
#include "tests/program_run.h"

namespace lockstep::grading {
namespace {

const std::string kTrial = std::string(LOCKSTEP_TRIAL_FOLDER) + "/trial";

struct Ended {
  int status;
  std::string out;
  std::string err;
};

Ended run(const std::vector<std::string>& argv) {
  launch::Command command;
  command.argv = argv;
  command.out = command.err = launch::Output::kCapture;
  launch::Process process(command);
  const int status = process.wait().code;
  return {status, process.out(), process.err()};
}

class GraderTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TestFolder();
    ended_ =
        new Ended(run({kTrial, kTrial + "_solution.so", "--json", at("99.json"),
                       "--gradescope", at("results.json"), "--page", at("99.html")}));
  }
  static void TearDownTestSuite() {
    delete ended_;
    delete folder_;
  }
  static std::string at(const std::string& name) { return *folder_ / name; }

  static inline TestFolder* folder_ = nullptr;
  static inline Ended* ended_ = nullptr;
};

TEST_F(GraderTest, LeavesEveryOutput) {
  EXPECT_EQ(ended_->status, 0);
  EXPECT_NE(ended_->out.find("lab 99: 2 of 13 points\n"), std::string::npos);
  EXPECT_NE(ended_->out.find("  | said by the solution\n"), std::string::npos);
  const Grade grade = grade_from_json(read_text(at("99.json")));
  EXPECT_EQ(grade.earned(), 2);
  EXPECT_EQ(nlohmann::json::parse(read_text(at("results.json"))).at("score"), 2);
  EXPECT_NE(read_text(at("99.html")).find("saw 3, not 4"), std::string::npos);
}

TEST_F(GraderTest, PageOfSeveral) {
  const std::string grades = program_path("grades");
  const Ended page = run({grades, at("index.html"), at("99.json"), at("99.json")});
  EXPECT_EQ(page.status, 0) << page.err;
  EXPECT_NE(page.out.find("together 4 of 26 points"), std::string::npos) << page.out;
  EXPECT_NE(read_text(at("index.html")).find("4 of 26"), std::string::npos);

  write_text(at("half.json"), read_text(at("99.json")).substr(0, 200));
  const Ended half = run({grades, at("none.html"), at("99.json"), at("half.json")});
  EXPECT_EQ(half.status, 1);
  EXPECT_NE(half.err.find("half.json: not a grade: "), std::string::npos) << half.err;
  EXPECT_FALSE(std::filesystem::exists(at("none.html")));
}

TEST_F(GraderTest, WhatDoesNotCompileIsGradedToo) {
  write_text(at("errors"),
             "buckets.cpp:7:3: warning: unused\n"
             "buckets.cpp:9:3: error: no member named 'alreduce'\n");
  const Ended ended = run({kTrial, "--does-not-compile", at("errors"), "--gradescope",
                           at("refused.json"), "--json", at("refused")});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(ended.out.find("lab 99: 0 of 13 points\n"), std::string::npos);
  const auto results = nlohmann::json::parse(read_text(at("refused.json")));
  EXPECT_EQ(results.at("score"), 0);
  ASSERT_EQ(results.at("tests").size(), 13u);
  EXPECT_EQ(results.at("tests")[0].at("output"),
            "saw: it does not compile: buckets.cpp:9:3: error: no member named "
            "'alreduce'\n");
  EXPECT_NE(results.at("output").get<std::string>().find("warning: unused"),
            std::string::npos);
}

TEST_F(GraderTest, PrintsItsPoints) {
  const Ended ended = run({kTrial, "--points"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.out.rfind("99\tTrial\t13\npasses\tit comes out so\t1\n", 0), 0u)
      << ended.out;
  EXPECT_EQ(lines_of(ended.out).size(), 14u);
}

TEST_F(GraderTest, RefusesWhatItCannotDo) {
  const std::string solution = kTrial + "_solution.so";
  const std::vector<std::pair<std::vector<std::string>, std::string>> refused = {
      {{kTrial}, "give one SOLUTION, or --does-not-compile FILE"},
      {{kTrial, solution, "--does-not-compile", "x"}, "give one SOLUTION"},
      {{kTrial, solution, "--json", at("x"), "--page", at("x")}, "would both write"},
      {{kTrial, solution, "--jason", "x"}, "--jason"}};
  for (const auto& [argv, words] : refused) {
    const Ended ended = run(argv);
    EXPECT_EQ(ended.status, 2) << words;
    EXPECT_NE(ended.err.find(words), std::string::npos) << ended.err;
  }
  const Ended unread = run({kTrial, "--does-not-compile", at("no_such")});
  EXPECT_EQ(unread.status, 1);
  EXPECT_NE(unread.err.find("cannot read the compiler's errors"), std::string::npos);
}

}  // namespace
}  // namespace lockstep::grading
