#include "cases/machine.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <torch/version.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "launch/process.h"

namespace lockstep::cases {
extern const char kSourceFolder[];  // built_from.cpp
namespace {

// Whether asserts are looked at.
bool is_debug_build() {
  bool looked_at = false;
  assert((looked_at = true));
  return looked_at;
}

// The value of the first "key : value" or "key=value" line of a file.
std::string value_in(const std::string& path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t start = line.find_first_not_of(" \t\"", line.find(separator) + 1);
    if (start == std::string::npos) continue;
    const size_t end = line.find_last_not_of(" \t\"");
    return line.substr(start, end - start + 1);
  }
  return "unknown";
}

}  // namespace

int cores() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

rows::MachineRow this_machine() {
  rows::MachineRow machine;
  machine.cpu = value_in("/proc/cpuinfo", "model name", ':');
  machine.cores = cores();
  struct sysinfo info {};
  if (sysinfo(&info) == 0) {
    machine.memory_bytes =
        static_cast<int64_t>(info.totalram) * static_cast<int64_t>(info.mem_unit);
  }
  machine.os = value_in("/etc/os-release", "PRETTY_NAME", '=');
  machine.libtorch = TORCH_VERSION;
  machine.build = std::string(LOCKSTEP_BUILD);
  return machine;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string current_commit() {
  // Programs that were carried to another machine have no repository to ask.
  if (const char* told = std::getenv("LOCKSTEP_COMMIT")) return told;
  launch::Command git;
  git.argv = {"git", "-C", kSourceFolder, "describe", "--always", "--dirty"};
  git.out = git.err = launch::Output::kCapture;
  try {
    launch::Process process(git);
    if (process.wait().code != 0) return "unknown";
    const std::string text = process.out();
    return text.substr(0, text.find('\n'));
  } catch (const std::exception&) {
    return "unknown";  // no git here: the numbers stand without it
  }
}

std::vector<std::string> warnings(const std::vector<Case>& cases) {
  std::vector<std::string> lines;
  if (is_debug_build()) {
    lines.emplace_back(
        "this is a debug build: its times mean nothing; use the release preset");
  }
  int most_threads = 0;
  for (const Case& one : cases) {
    most_threads = std::max(most_threads, one.cards * one.threads_per_card);
  }
  if (most_threads > cores()) {
    lines.push_back(std::to_string(most_threads) + " threads share " +
                    std::to_string(cores()) +
                    " cores in the largest case: it is marked oversubscribed");
  }
  double load = 0;
  if (getloadavg(&load, 1) == 1 && load > 0.5 * cores()) {
    lines.push_back("the machine is busy (load " + std::to_string(load).substr(0, 4) +
                    " on " + std::to_string(cores()) + " cores): times will be noisy");
  }
  return lines;
}

}  // namespace lockstep::cases
