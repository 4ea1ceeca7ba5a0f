#include "bench/child_run.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "launch/process.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

// A run that takes longer has hung: the main job's take seconds.
constexpr std::chrono::minutes kPatience{30};
constexpr std::chrono::seconds kGrace{5};

// A file of its own in the system's folder for such; gone with the scope.
class TemporaryFile {
 public:
  TemporaryFile() {
    path_ = (fs::temp_directory_path() / "lockstep-report-XXXXXX").string();
    const int fd = mkstemp(path_.data());
    if (fd < 0) throw std::runtime_error("cannot make a temporary file " + path_);
    close(fd);
  }
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }

 private:
  std::string path_;
};

std::string shortest(double value) {
  std::ostringstream text;
  text.precision(17);
  text << value;
  return text.str();
}

std::string program_of(const Case& one, bool reference) {
  const std::string name = reference || one.mode == "single" ? "single_gpu"
                           : one.mode == "dp"                ? "data_parallel"
                                                             : "ddp";
  return (fs::read_symlink("/proc/self/exe").parent_path() / name).string();
}

std::vector<std::string> arguments_of(const Case& one, const Sweep& sweep,
                                      const RunPlan& plan) {
  std::vector<std::string> arguments = {
      "--model", one.model, "--dataset", sweep.dataset, "--data-dir", sweep.data_dir,
      "--batch-size", std::to_string(one.local_batch), "--steps", std::to_string(plan.steps),
      "--threads-per-card", std::to_string(one.threads_per_card), "--device", sweep.device,
      "--precision", sweep.precision, "--lr", shortest(sweep.lr), "--seed",
      std::to_string(sweep.seed), "--drop-last", "--quiet"};
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

// The program's one line says what is wrong; a launcher's line about it comes after.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

TrainReport run_in_children(const Case& one, const Sweep& sweep, const RunPlan& plan) {
  const TemporaryFile report;
  launch::Command command;
  command.argv = {program_of(one, plan.reference)};
  for (std::string& argument : arguments_of(one, sweep, plan)) {
    command.argv.push_back(std::move(argument));
  }
  command.argv.insert(command.argv.end(), {"--report-file", report.path()});
  command.err = launch::Output::kCapture;
  command.out = launch::Output::kCapture;
  command.dies_with_parent = true;
  launch::Process process(command);
  const auto status = process.wait_for(kPatience);
  if (!status.has_value()) {
    process.stop(kGrace);
    throw std::runtime_error(one.name() + ": no end after 30 minutes; stopped");
  }
  if (status->code != 0) {
    const std::string said = first_line(process.err());
    throw std::runtime_error(said.empty() ? one.name() + " " + launch::describe(*status)
                                          : said);
  }
  return training::report_from_json(report.text());
}

}  // namespace lockstep::bench
