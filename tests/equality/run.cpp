#include "tests/equality/run.h"

#include <ATen/Functions.h>
#include <torch/serialize.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "launch/process.h"
#include "tests/test_folder.h"

namespace lockstep::equality {
namespace {

namespace fs = std::filesystem;

// Long enough for a hundred steps on a busy machine; a run that hangs is ended by it.
constexpr std::chrono::minutes kPatience{4};

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr)
    throw std::runtime_error(std::string(name) + " is not set; use ctest");
  return value;
}

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

// It goes with the process.
const fs::path& scratch() {
  static const TestFolder folder;
  return folder.path();
}

std::vector<double> read_losses(const fs::path& metrics) {
  std::vector<double> losses;
  std::ifstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.at("step") != losses.size()) {
      throw std::runtime_error("step " + json.at("step").dump() + " at line " +
                               std::to_string(losses.size()));
    }
    losses.push_back(json.at("loss"));
  }
  return losses;
}

void run_to_its_end(launch::Command command) {
  command.out = command.err = launch::Output::kCapture;
  launch::Process process(command);
  const auto status = process.wait_for(kPatience);
  if (!status.has_value()) {
    process.stop(std::chrono::seconds(10));
    throw std::runtime_error(joined(command.argv) + "did not end: " + process.err());
  }
  if (status->code != 0) {
    throw std::runtime_error(joined(command.argv) + launch::describe(*status) + ": " +
                             process.err());
  }
}

// Runs the command with the option that makes it leave a file; returns the file.
fs::path run_for_file(launch::Command command, const std::string& option) {
  const fs::path file = scratch() / "left";
  fs::remove(file);
  command.argv.insert(command.argv.end(), {option, file.string()});
  run_to_its_end(std::move(command));
  return file;
}

std::vector<double> run(const launch::Command& command) {
  return read_losses(run_for_file(command, "--metrics-file"));
}

Words program(const std::string& command_line) {
  Words command = words(command_line + " --device cpu --quiet");
  command[0] = from_environment("LOCKSTEP_BIN") + "/" + command[0];
  return command;
}

// The script under Python, where there are several ranks under torchrun.
Words python(int ranks, const std::string& script) {
  Words command = {from_environment("LOCKSTEP_PYTHON")};
  if (ranks > 1) {
    const Words torchrun =
        words("-m torch.distributed.run --standalone --nproc-per-node");
    command.insert(command.end(), torchrun.begin(), torchrun.end());
    command.push_back(std::to_string(ranks));
  }
  command.push_back(from_environment("LOCKSTEP_SOURCE") + script);
  return command;
}

std::map<std::string, at::Tensor> load(const fs::path& path) {
  torch::serialize::InputArchive archive;
  archive.load_from(path.string());
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& key : archive.keys()) archive.read(key, tensors[key]);
  return tensors;
}

}  // namespace

Words words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

const std::vector<double>& losses(const Words& command) {
  static std::map<Words, std::vector<double>> made;
  const auto found = made.find(command);
  if (found != made.end()) return found->second;
  launch::Command process;
  process.argv = command;
  return made[command] = run(process);
}

const std::vector<double>& program_losses(const std::string& command_line) {
  return losses(program(command_line));
}

TestSet evaluated_by(const std::string& command_line) {
  launch::Command command;
  command.argv = program(command_line + " --eval");
  std::ifstream report(run_for_file(command, "--report-file"));
  const auto json = nlohmann::json::parse(report);
  return {json.at("correct"), json.at("evaluated")};
}

const std::vector<double>& python_losses(int ranks, const std::string& options,
                                         const std::string& script) {
  Words command = python(ranks, script);
  for (const std::string& word : words(options)) command.push_back(word);
  return losses(command);
}

std::map<std::string, std::vector<double>> python_losses_of_all(int ranks,
                                                                const Words& lines) {
  launch::Command command;
  command.argv = python(ranks, "/tests/equality/train_all.py");
  const fs::path file = scratch() / "all";
  command.argv.push_back(file.string());
  command.argv.insert(command.argv.end(), lines.begin(), lines.end());
  // Else glibc gives the activations' memory back at every step, and a third of the
  // time goes into having it again.
  command.extra_env = {{"MALLOC_MMAP_MAX_", "0"},
                       {"MALLOC_TRIM_THRESHOLD_", "8589934592"},
                       {"MALLOC_TOP_PAD_", "67108864"}};
  run_to_its_end(command);
  std::ifstream all(file);
  return nlohmann::json::parse(all);
}

const WatchedRun& watched(const std::string& command_line) {
  static std::map<std::string, WatchedRun> made;
  const auto found = made.find(command_line);
  if (found != made.end()) return found->second;

  const fs::path saved = scratch() / "witness";
  launch::Command command;
  command.argv = words(command_line + " --device cpu --quiet");
  command.program =
      (fs::read_symlink("/proc/self/exe").parent_path() / "witness").string();
  command.extra_env = {{"LOCKSTEP_WITNESS", saved.string()}};
  WatchedRun watched_run;
  watched_run.losses = run(command);
  watched_run.tensors = load(saved.string() + ".0");
  for (int rank = 0; rank < 64; ++rank) {
    const fs::path of_rank = saved.string() + "." + std::to_string(rank);
    if (!fs::exists(of_rank)) break;
    for (const auto& [name, tensor] : load(of_rank)) {
      if (!at::equal(tensor, watched_run.tensors.at(name))) {
        throw std::runtime_error(command_line + ": rank " + std::to_string(rank) +
                                 " ends with another " + name + " than rank 0");
      }
    }
    fs::remove(of_rank);
  }
  return made[command_line] = std::move(watched_run);
}

double apart(const std::vector<double>& a, const std::vector<double>& b, size_t steps) {
  if (a.size() < steps || b.size() < steps) {
    throw std::runtime_error(std::to_string(a.size()) + " and " +
                             std::to_string(b.size()) + " steps instead of " +
                             std::to_string(steps));
  }
  double largest = 0;
  for (size_t step = 0; step < steps; ++step) {
    const double error = std::abs(a[step] - b[step]) / std::abs(b[step]);
    if (!(error <= largest)) largest = error;  // NaN, too
  }
  return largest;
}

double apart(const std::map<std::string, at::Tensor>& a,
             const std::map<std::string, at::Tensor>& b) {
  if (a.size() != b.size()) throw std::runtime_error("the models are not the same");
  double largest = 0;
  for (const auto& [name, tensor] : b) {
    const at::Tensor wanted = tensor.to(at::kDouble);
    double error = (a.at(name).to(at::kDouble) - wanted).norm().item<double>();
    const double norm = wanted.norm().item<double>();
    if (norm > 0) error /= norm;
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

}  // namespace lockstep::equality
