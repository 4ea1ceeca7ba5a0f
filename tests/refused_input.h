// A program that is asked for what cannot be, and what it has to say. For tests alone.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/program_run.h"

namespace lockstep {

struct BadInput {
  std::vector<std::string> arguments;
  int status;
  std::vector<std::string> words;  // of the one line
  // Said by the program's own main() or by a rank: not where a copy of the test will do
  // (program_in_copy.h).
  bool by_executable = false;
};

inline const std::vector<std::string> kTraining = {"single_gpu", "data_parallel",
                                                   "ddp"};

inline std::vector<std::string> joined(std::vector<std::string> a,
                                       const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline std::string shown(const std::string& program, const BadInput& bad) {
  std::string line = program;
  for (const std::string& argument : bad.arguments) line += " " + argument;
  return line;
}

inline void refuse(const std::string& program, const BadInput& bad) {
  SCOPED_TRACE(shown(program, bad));
  ProgramRun run(program, bad.arguments);
  expect_refusal(run, bad.status, joined({program + ": "}, bad.words));
  EXPECT_EQ(run.process().out(), "");
}

}  // namespace lockstep
