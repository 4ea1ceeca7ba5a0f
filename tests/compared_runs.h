// An older run of bench and others that are compared with it, of the programs as they
// are and with a slow-down planted in ddp (slow_ddp.cpp). For tests alone.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/program_run.h"

namespace lockstep {

class ComparedRuns {
 public:
  // `options`: of all the runs.
  explicit ComparedRuns(const std::vector<std::string>& options)
      : options_(std::vector<std::string>{"--mode", "ddp", "--model", "mlp",
                                          "--dataset", "synthetic", "--device", "cpu",
                                          "--no-page"} +
                 options) {
    namespace fs = std::filesystem;
    fs::copy_file(program_path("bench"), slow_ / "bench");
    for (const char* name : {"single_gpu", "data_parallel"}) {
      fs::create_symlink(program_path(name), slow_ / name);
    }
    const fs::path programs = program_path("");
    fs::create_symlink(programs.parent_path().parent_path() / "tests/slow_ddp",
                       slow_ / "ddp");
  }

  // The older run, of the program as it is.
  void make_base(int repetitions) {
    ProgramRun base("bench", arguments("base", repetitions));
    ASSERT_EQ(base.status(), 0) << base.process().err();
  }

  // Exit statuses of newer ones; with ddp's steps longer by this part, "0.1".
  int unchanged(int repetitions) { return compared("bench", repetitions, {}); }
  int slower_by(const std::string& part, int repetitions) {
    return compared(slow_ / "bench", repetitions, {{"LOCKSTEP_TEST_SLOWER", part}});
  }

 private:
  std::vector<std::string> arguments(const std::string& out, int repetitions) const {
    return options_ + std::vector<std::string>{"--out", folder_ / out, "--repetitions",
                                               std::to_string(repetitions)};
  }

  int compared(const std::string& bench, int repetitions,
               const launch::Environment& environment) {
    const std::vector<std::string> against = {"--compare", folder_ / "base"};
    ProgramRun run(bench, arguments("now", repetitions) + against, environment);
    const int status = run.status();
    const std::string table = run.process().out();
    const size_t verdict = table.find("ddp/mlp", table.find("step over single card's"));
    std::printf("%s: %s", environment.empty() ? "unchanged" : "slower",
                verdict == std::string::npos ? run.process().err().c_str()
                                             : table.substr(verdict).c_str());
    std::fflush(stdout);
    return status;
  }

  TestFolder folder_;  // of results
  TestFolder slow_;    // of programs
  std::vector<std::string> options_;
};

}  // namespace lockstep
