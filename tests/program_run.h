// How the tests of whole programs run one: output captured, every process that comes of
// it marked, a place of its own for temporary files. For tests alone.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "launch/process.h"
#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep {

inline std::string program_path(const std::string& name) {
  return std::string(std::getenv("LOCKSTEP_BIN")) + "/" + name;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// The words of a command, one after the other.
inline std::vector<std::string> operator+(std::vector<std::string> first,
                                          const std::vector<std::string>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// One program under test, its children included.
class ProgramRun {
 public:
  // `program`: a name in build/bin, or a path.
  ProgramRun(const std::string& program, std::vector<std::string> arguments,
             launch::Environment environment = {}, std::vector<int> inherit_fds = {})
      : process_(command(program, std::move(arguments), std::move(environment),
                         std::move(inherit_fds))) {}

  // Should a test fail, the next one does not run beside what this one left.
  ~ProgramRun() {
    for (const int pid : alive()) kill(pid, SIGKILL);
  }

  launch::Process& process() { return process_; }

  // The status a shell would see. A program that does not end fails the test.
  int status() {
    const auto status = process_.wait_for(std::chrono::seconds(100));
    if (!status.has_value()) {
      ADD_FAILURE() << "did not end\n" << process_.err();
      return process_.stop(std::chrono::seconds(1)).code;
    }
    return status->code;
  }

  // The processes that came of it and are still there, itself included.
  std::vector<int> alive() const {
    std::vector<int> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const std::string environment = read_text("/proc/" + name + "/environ");
      if (environment.find("TMPDIR=" + (scratch_ / "") + '\0') != std::string::npos) {
        found.push_back(std::stoi(name));
      }
    }
    return found;
  }

  // What it left in the folder that is its TMPDIR.
  std::vector<std::string> temporary_files() const { return scratch_.names(); }

 private:
  launch::Command command(const std::string& program,
                          std::vector<std::string> arguments,
                          launch::Environment environment,
                          std::vector<int> inherit_fds) const {
    launch::Command command;
    command.argv = {program.find('/') == std::string::npos ? program_path(program)
                                                           : program};
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    environment["TMPDIR"] = scratch_ / "";
    command.extra_env = std::move(environment);
    command.inherit_fds = std::move(inherit_fds);
    command.out = command.err = launch::Output::kCapture;
    return command;
  }

  TestFolder scratch_;  // before the process: its command names it
  launch::Process process_;
};

// A rank's process among those of a run; 0: none yet.
inline int process_of(const ProgramRun& run, int rank) {
  const std::string wanted = std::string("\0RANK=", 6) + std::to_string(rank) + '\0';
  for (const int pid : run.alive()) {
    const std::string environment =
        read_text("/proc/" + std::to_string(pid) + "/environ");
    if ((std::string(1, '\0') + environment).find(wanted) != std::string::npos)
      return pid;
  }
  return 0;
}

inline bool has_thread(int pid, const std::string& name) {
  std::error_code ended;
  for (const auto& thread : std::filesystem::directory_iterator(
           "/proc/" + std::to_string(pid) + "/task", ended)) {
    if (read_text((thread.path() / "comm").string()) == name + "\n") return true;
  }
  return false;
}

// One line that holds each of `words`.
inline void expect_one_line(const std::string& errors,
                            const std::vector<std::string>& words) {
  EXPECT_EQ(lines_of(errors).size(), 1u) << errors;
  for (const std::string& word : words) {
    EXPECT_NE(errors.find(word), std::string::npos)
        << "no \"" << word << "\" in: " << errors;
  }
  for (const char* never : {"frame #", "terminate called", "Exception raised from"}) {
    EXPECT_EQ(errors.find(never), std::string::npos) << errors;
  }
}

// The whole contract of an error: status, one line that holds each of `words`, nobody
// and nothing left.
inline void expect_refusal(ProgramRun& run, int status,
                           const std::vector<std::string>& words) {
  EXPECT_EQ(run.status(), status);
  expect_one_line(run.process().err(), words);
  EXPECT_EQ(run.alive(), std::vector<int>{});
  EXPECT_EQ(run.temporary_files(), std::vector<std::string>{});
}

}  // namespace lockstep
