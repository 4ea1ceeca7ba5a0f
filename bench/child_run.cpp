#include "bench/child_run.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

// A run that takes longer has hung: the main job's take seconds.
constexpr std::chrono::minutes kPatience{30};
// Longer than the grace that a launcher in turn gives its ranks.
constexpr std::chrono::seconds kGrace{10};

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string shortest(double value) {
  std::ostringstream text;
  text.precision(17);
  text << value;
  return text.str();
}

// The programs lie beside this one.
std::string program(const std::string& name) {
  return (fs::read_symlink("/proc/self/exe").parent_path() / name).string();
}

std::string program_of(const Case& one, bool reference) {
  if (reference || one.mode == "single") return program("single_gpu");
  return program(one.mode == "dp" ? "data_parallel" : "ddp");
}

std::vector<std::string> arguments_of(const Case& one, const Sweep& sweep,
                                      const RunPlan& plan) {
  std::vector<std::string> arguments = {"--model",
                                        one.model,
                                        "--dataset",
                                        sweep.dataset,
                                        "--data-dir",
                                        sweep.data_dir,
                                        "--batch-size",
                                        std::to_string(one.local_batch),
                                        "--steps",
                                        std::to_string(plan.steps),
                                        "--threads-per-card",
                                        std::to_string(one.threads_per_card),
                                        "--device",
                                        sweep.device,
                                        "--precision",
                                        sweep.precision,
                                        "--lr",
                                        shortest(sweep.lr),
                                        "--seed",
                                        std::to_string(sweep.seed),
                                        "--drop-last",
                                        "--quiet"};
  const auto add = [&](const std::string& option, const std::string& value) {
    arguments.push_back(option);
    arguments.push_back(value);
  };
  if (plan.reference) {
    add("--accumulate", std::to_string(one.cards));
    // DDP's ranks take every N-th sample; DataParallel cuts the global batch in pieces.
    if (one.mode == "ddp") add("--sampler", "ranks-in-turn");
  } else {
    add("--gpus", std::to_string(one.cards));
    if (one.mode == "ddp") {
      add("--reducer", sweep.reducer);
      add("--backend", sweep.backend);
      add("--bucket-cap-mb", shortest(sweep.bucket_cap_mb));
    }
  }
  return arguments;
}

launch::Command command_of(const Case& one, const Sweep& sweep, const RunPlan& plan,
                           const std::vector<std::string>& more) {
  launch::Command command;
  command.argv = {program_of(one, plan.reference)};
  for (const auto& arguments : {arguments_of(one, sweep, plan), more}) {
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  }
  command.err = launch::Output::kCapture;
  command.out = launch::Output::kCapture;
  command.dies_with_parent = true;
  return command;
}

// The program's one line, without its name.
std::string said(const std::string& text, const std::string& program) {
  const std::string line = text.substr(0, text.find('\n'));
  const std::string name = fs::path(program).filename().string() + ": ";
  return line.rfind(name, 0) == 0 ? line.substr(name.size()) : line;
}

}  // namespace

Stopped::Stopped(int signal)
    : std::runtime_error("stopped by " + launch::signal_name(signal)),
      status_(128 + signal) {}

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  const fs::path place = fs::temp_directory_path(error);
  path_ = (place / "lockstep-bench-XXXXXX").string();
  if (!error && mkdtemp(path_.data()) == nullptr) {
    error = std::error_code(errno, std::generic_category());
  }
  if (error) {
    throw std::runtime_error("cannot make a temporary folder " + path_ + ": " +
                             error.message() + "; name another place in TMPDIR");
  }
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

launch::ExitStatus Children::wait(launch::Process& process) const {
  pollfd events[] = {{process.pidfd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}};
  poll(events, 2, static_cast<int>(std::chrono::milliseconds(kPatience).count()));
  // First, as a terminal's ctrl-C ends the child as well.
  if (const int signal = signals_.take()) {
    process.send_signal(signal);
    if (!process.wait_for(kGrace)) process.send_signal(SIGKILL);
    process.wait();
    throw Stopped(signal);
  }
  if (const auto status = process.wait_for(std::chrono::milliseconds(0)))
    return *status;
  process.stop(kGrace);
  throw std::runtime_error("no end after 30 minutes; stopped");
}

void Children::finish(const Case& one, launch::Process& process,
                      const std::string& program) const {
  const launch::ExitStatus status = wait(process);
  if (status.code == 0) return;
  std::string why = said(process.err(), program);
  if (why.empty()) why = one.name() + " " + launch::describe(status);
  if (status.code == 2) throw std::invalid_argument(why);
  throw std::runtime_error(why);
}

TrainReport Children::run(const Case& one, const RunPlan& plan) const {
  const std::string report = scratch_.file("report.json");
  std::filesystem::remove(report);  // the run before this one's
  const launch::Command command =
      command_of(one, sweep_, plan, {"--report-file", report});
  launch::Process process(command);
  finish(one, process, command.argv[0]);
  return training::report_from_json(text_of(report));
}

void Children::dry_run(const Case& one) const {
  const launch::Command command = command_of(one, sweep_, {}, {"--dry-run"});
  launch::Process process(command);
  finish(one, process, command.argv[0]);
}

int Children::report(const std::string& folder) const {
  launch::Command command;
  command.argv = {program("report"), "--in", folder, "--out", folder};
  launch::Process process(command);
  return wait(process).code;
}

}  // namespace lockstep::bench
