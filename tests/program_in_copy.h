// A training program called in a copy of the test itself, where a start of LibTorch, a
// quarter of a second, was paid for once. For what is refused before ranks are started,
// and for tests that use no tensor before: not for what the program's own main() adds
// (its checks), nor for what starts ranks: they are copies of the executable.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "data_parallel/train.h"
#include "ddp/train.h"
#include "program/program.h"
#include "single_gpu/train.h"
#include "tests/refused_input.h"

namespace lockstep {

struct Ended {
  int status = 0;  // as a shell would see it
  std::string out, err;
  bool left_a_process = false;
  std::vector<std::string> temporary_files;
};

inline int call_program(const std::string& name, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), name);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const auto run = [&](program::Ranks ranks, const program::TrainFunction& train) {
    return program::run_program({name, "Trains.", ranks}, train,
                                static_cast<int>(arguments.size()), argv.data());
  };
  if (name == "single_gpu") return run(program::Ranks::one, single_gpu::train);
  if (name == "data_parallel") {
    return run(program::Ranks::one_process, data_parallel::train);
  }
  if (name == "ddp") return run(program::Ranks::one_a_card, ddp::train);
  std::abort();
}

inline Ended run_in_copy(const std::string& name,
                         const std::vector<std::string>& arguments) {
  const TestFolder scratch;
  const int out = memfd_create("out", MFD_CLOEXEC);
  const int err = memfd_create("err", MFD_CLOEXEC);
  // Whoever the copy leaves behind becomes our child.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::cout.flush();
  std::fflush(nullptr);  // else the copy writes it, too
  const pid_t copy = fork();
  if (copy == 0) {
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    setenv("TMPDIR", (scratch / "").c_str(), 1);
    setenv("GTEST_FILTER", "-*", 1);  // should it start ranks after all, see above
    std::exit(call_program(name, arguments));
  }
  Ended ended;
  int raw = 0;
  waitpid(copy, &raw, 0);
  ended.status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
  while (true) {
    const pid_t left = waitpid(-1, nullptr, WNOHANG);
    if (left > 0) continue;  // it has ended
    ended.left_a_process = left == 0;
    break;
  }
  const auto contents = [](int fd) {
    std::string text = read_text("/proc/self/fd/" + std::to_string(fd));
    close(fd);
    return text;
  };
  ended.out = contents(out);
  ended.err = contents(err);
  ended.temporary_files = scratch.names();
  return ended;
}

// The same contract as refuse() holds the executable to.
inline void refuse_in_copy(const std::string& program, const BadInput& bad) {
  SCOPED_TRACE("in a copy: " + shown(program, bad));
  const Ended ended = run_in_copy(program, bad.arguments);
  EXPECT_EQ(ended.status, bad.status);
  expect_one_line(ended.err, joined({program + ": "}, bad.words));
  EXPECT_EQ(ended.out, "");
  EXPECT_FALSE(ended.left_a_process);
  EXPECT_EQ(ended.temporary_files, std::vector<std::string>{});
}

}  // namespace lockstep
