#include "cells/program_output.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "files/temporary_folder.h"
#include "launch/process.h"

namespace lockstep::cells {
namespace {

namespace fs = std::filesystem;

// Programs lie in folders of build/, this one as well.
fs::path build_folder() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path();
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

std::string output_of(const std::string& program, const Words& arguments) {
  launch::Command command;
  command.argv = {(build_folder() / program).string()};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.extra_env = {{"OMP_WAIT_POLICY", "PASSIVE"}};
  command.out = command.err = launch::Output::kCapture;
  command.dies_with_parent = true;
  launch::Process process(command);
  constexpr std::chrono::seconds kPatience{60};
  const auto status = process.wait_for(kPatience);
  if (!status.has_value()) {
    throw std::runtime_error(program + " did not end within 60 s");
  }
  if (status->code != 0) {
    throw std::runtime_error(program + " " + launch::describe(*status) + ": " +
                             last_line(process.err()));
  }
  return process.out();
}

nlohmann::json left_by(const std::string& program, Words arguments,
                       const std::string& option) {
  // A folder, for some options leave a file of each rank.
  const files::TemporaryFolder folder(files::temporary_place(option), option);
  arguments.insert(arguments.end(), {option, folder.file("left.json")});
  output_of(program, arguments);
  std::ifstream file(folder.file("left.json"));
  return nlohmann::json::parse(file);
}

nlohmann::json report_of(const std::string& program, Words arguments) {
  arguments.insert(arguments.end(),
                   {"--threads-per-card", "1", "--device", "cpu", "--quiet"});
  return left_by(program, arguments, "--report-file");
}

std::string file_of_tree(const std::string& path) {
  const fs::path around = build_folder().parent_path() / path;
  return (fs::exists(around) ? around : fs::path(LOCKSTEP_SOURCE_DIR) / path).string();
}

}  // namespace lockstep::cells
