// How the tests on CUDA devices run a program: waived by name where there is none, with
// the images that gpu_check.sh carries along where there are. For tests alone.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "device/cuda.h"
#include "tests/equality/run.h"
#include "tests/program_run.h"
#include "training/report.h"

namespace lockstep::equality {

// Prints once a test suite what of the test is waived, and skips all of it where there
// is no device.
class OnCuda : public testing::Test {
 protected:
  static void waive(const std::string& what, const std::string& why) {
    std::printf("WAIVED: %s: %s\n", what.c_str(), why.c_str());
  }
  void SetUp() override {
    if (device::cuda_devices().count == 0) GTEST_SKIP() << "waived: no CUDA device";
  }
};

// "ddp --gpus 2 --model mlp" as a command on this device.
inline Words command_on(const std::string& device, const std::string& command_line) {
  Words command = words(command_line + " --quiet --device " + device);
  command[0] = program_path(command[0]);
  const char* images = std::getenv("LOCKSTEP_IMAGES");
  const bool of_tokens = command_line.find("transformer") != std::string::npos;
  if (images != nullptr && !of_tokens) {
    command.insert(command.end(), {"--data-dir", images});
  }
  return command;
}

inline const std::vector<double>& losses_on(const std::string& device,
                                            const std::string& command_line) {
  return losses(command_on(device, command_line));
}

inline void run_to_the_end(const Words& command) {
  ProgramRun program(command[0], {command.begin() + 1, command.end()});
  ASSERT_EQ(program.status(), 0) << program.process().err();
}

inline TrainReport report_of(const std::string& device, const std::string& work) {
  const TestFolder place;
  run_to_the_end(command_on(device, work) +
                 Words{"--report-file", place / "report.json"});
  return training::report_from_json(read_text(place / "report.json"));
}

}  // namespace lockstep::equality
