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
};

inline const std::vector<std::string> kTraining = {"single_gpu", "data_parallel",
                                                   "ddp"};

inline std::vector<std::string> joined(std::vector<std::string> a,
                                       const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline void refuse(const std::string& program, const BadInput& bad) {
  std::string shown = program;
  for (const std::string& argument : bad.arguments) shown += " " + argument;
  SCOPED_TRACE(shown);
  ProgramRun run(program, bad.arguments);
  expect_refusal(run, bad.status, joined({program + ": "}, bad.words));
  EXPECT_EQ(run.process().out(), "");
}

}  // namespace lockstep
