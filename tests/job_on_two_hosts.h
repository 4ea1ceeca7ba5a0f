// A job of four ranks, two on each of two hosts of its own, that `launch` starts on
// both and starts again where it fails: what can be done to it, and what it leaves.
#pragma once

#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "checkpoint/checkpoint_folder.h"
#include "emulation/hosts.h"
#include "tests/program_run.h"
#include "tests/small_disk.h"

namespace lockstep {

class JobOnTwoHosts {
 public:
  using Words = std::vector<std::string>;

  static constexpr int64_t kSteps = 300;
  static constexpr int kPort = 29600;
  explicit JobOnTwoHosts(bool on_small_disk) {
    if (on_small_disk) disk_.emplace(64 << 20);
  }

  void start(int node) {
    std::istringstream line(
        program_path("launch") + " --nnodes 2 --nproc-per-node 2 --node-rank " +
        std::to_string(node) + " --master-addr " + emulation::Hosts::address(0) +
        " --master-port " + std::to_string(kPort) + " --max-restarts 2 --timeout 5 " +
        program_path("ddp") +
        " --model mlp --precision fp64 --device cpu --threads-per-card 1 --quiet"
        " --batch-size 16 --timeout 20 --steps " +
        std::to_string(kSteps) + " --checkpoint " + path() +
        "kept --checkpoint-every 5 --resume --metrics-file " + folder_ / "metrics");
    const Words words{std::istream_iterator<std::string>(line), {}};
    nodes_[static_cast<size_t>(node)] = std::make_unique<ProgramRun>(
        "/usr/bin/env", hosts.on(node, disk_ ? disk_->on(words) : words));
  }

  // nullptr: it was not started.
  ProgramRun* node(int number) { return nodes_[static_cast<size_t>(number)].get(); }

  // "ddp": the rank, "launch_rank": its guard. 0: not there.
  int pid_of(const std::string& program, int rank) const {
    const std::string wanted = std::string("\0RANK=", 6) + std::to_string(rank) + '\0';
    for (const auto& node : nodes_) {
      if (node == nullptr) continue;
      for (const int pid : node->alive()) {
        const std::string process = "/proc/" + std::to_string(pid);
        if (read_text(process + "/comm") == program + "\n" &&
            (std::string(1, '\0') + read_text(process + "/environ")).find(wanted) !=
                std::string::npos) {
          return pid;
        }
      }
    }
    return 0;
  }

  bool ended() {
    for (const auto& node : nodes_) {
      if (node && !node->process().wait_for({}).has_value()) return false;
    }
    return true;
  }

  // All ranks have met, and taken steps.
  bool trains() const { return std::filesystem::exists(seen() + "kept/latest"); }

  // What launchers and ranks have said, but for the checkpoints' own lines.
  Words said() {
    Words lines;
    for (const auto& node : nodes_) {
      if (node == nullptr) continue;
      for (const std::string& line : lines_of(node->process().err())) {
        if (line.find("] checkpoint: ") == std::string::npos) lines.push_back(line);
      }
    }
    return lines;
  }

  std::map<int64_t, double> losses() const {
    std::map<int64_t, double> losses;
    for (const std::string& line : lines_of(read_text(folder_ / "metrics"))) {
      const auto json = nlohmann::json::parse(line);
      losses[json.at("step")] = json.at("loss");
    }
    return losses;
  }

  // Of the last step's checkpoint: sizes and checksums of its files.
  std::string manifest() const {
    return read_text(seen() + "kept/" + checkpoint::folder_name(kSteps) + "/manifest");
  }

  // Throws std::runtime_error where one does not load.
  int load_all_checkpoints() const {
    int loaded = 0;
    if (!std::filesystem::exists(seen() + "kept")) return 0;
    for (const auto& entry : std::filesystem::directory_iterator(seen() + "kept")) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("step-", 0) != 0) continue;
      checkpoint::checkpoint_at(seen() + "kept", std::stoll(name.substr(5)));
      ++loaded;
    }
    return loaded;
  }

  void fill_disk() const {
    launch::Command command;
    command.argv = {"dd", "if=/dev/zero", "of=" + seen() + "rest", "bs=16k"};
    command.err = launch::Output::kCapture;
    launch::Process(command).wait();  // ends with the space
  }
  void make_room() const { std::filesystem::remove(seen() + "rest"); }

  emulation::Hosts hosts{2};

 private:
  std::string path() const { return disk_ ? disk_->path() : folder_ / ""; }
  std::string seen() const { return disk_ ? disk_->seen_from_here() : folder_ / ""; }

  TestFolder folder_;
  std::optional<SmallDisk> disk_;
  std::array<std::unique_ptr<ProgramRun>, 2> nodes_;
};

}  // namespace lockstep
