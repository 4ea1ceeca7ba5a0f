// Children's runs on emulated hosts: a rank on each, over cables of one rate.
#include <chrono>
#include <stdexcept>
#include <utility>

#include "cases/child_run.h"
#include "files/memory_file.h"

namespace lockstep::cases {
namespace {

// Of a network of their own: nobody else has it.
constexpr int kPort = 29500;

}  // namespace

launch::Environment place_of(int rank, int ranks, int ranks_per_host) {
  return {{"RANK", std::to_string(rank)},
          {"WORLD_SIZE", std::to_string(ranks)},
          {"LOCAL_RANK", std::to_string(rank % ranks_per_host)},
          {"LOCAL_WORLD_SIZE", std::to_string(ranks_per_host)},
          {"MASTER_ADDR", emulation::Hosts::address(0)},
          {"MASTER_PORT", std::to_string(kPort)}};
}

namespace {

// So many ranks of the command on each host.
std::vector<launch::Process> start_on(const emulation::Hosts& hosts,
                                      const launch::Command& command,
                                      int ranks_per_host = 1) {
  std::vector<launch::Process> running;
  const int ranks = hosts.count() * ranks_per_host;
  for (int rank = 0; rank < ranks; ++rank) {
    launch::Command each = command;
    each.argv = hosts.on_its_processors(rank / ranks_per_host, command.argv);
    for (const auto& [name, value] : place_of(rank, ranks, ranks_per_host)) {
      each.extra_env[name] = value;
    }
    running.emplace_back(each);
  }
  return running;
}

launch::Command all_reduces(int ranks, const std::string& backend, int64_t least_bytes,
                            int64_t most_bytes, int iterations) {
  launch::Command command;
  const auto add = [&](const std::string& option, const std::string& value) {
    command.argv.insert(command.argv.end(), {option, value});
  };
  command.argv = {program("collectives")};
  add("--backend", backend);
  add("--collective", "all_reduce");
  add("--gpus", std::to_string(ranks));
  add("--minbytes", std::to_string(least_bytes));
  add("--maxbytes", std::to_string(most_bytes));
  add("--stepfactor", "4");
  add("--iters", std::to_string(iterations));
  add("--warmup-iters", "1");
  add("--check", "0");
  command.dies_with_parent = true;
  command.out = command.err = launch::Output::kCapture;
  return command;
}

launch::Command on_and_on(int ranks, int64_t bytes) {
  launch::Command command = all_reduces(ranks, "gloo", bytes, bytes, 1000000);
  command.argv.emplace_back("--no-memcpy");
  return command;
}

}  // namespace

LinkAtWork::LinkAtWork(int ranks, const std::string& link, int64_t bytes)
    : hosts_(ranks, link), ranks_(start_on(hosts_, on_and_on(ranks, bytes))) {
  while (ranks_.front().out().find("# all_reduce") == std::string::npos) {
    if (ranks_.front().wait_for(std::chrono::milliseconds(20))) {
      throw std::runtime_error("collectives: " + ranks_.front().err());
    }
  }
}

std::string Children::run_on_hosts(const std::string& what, const std::string& speaker,
                                   launch::Command command, const std::string& option,
                                   int ranks, const std::string& link,
                                   int ranks_per_host) const {
  const emulation::Hosts hosts(ranks / ranks_per_host, link);
  const files::MemoryFile written;
  command.argv.insert(command.argv.end(), {option, written.path()});
  for (launch::Process& each : start_on(hosts, command, ranks_per_host)) {
    finish(what, each, speaker);
  }
  return written.text();
}

std::string Children::time_all_reduce(int ranks, const std::string& backend,
                                      const std::string& link, int64_t least_bytes,
                                      int64_t most_bytes) const {
  launch::Command command = all_reduces(ranks, backend, least_bytes, most_bytes, 3);
  if (!link.empty()) {
    return run_on_hosts("collectives", "collectives", command, "--out", ranks, link);
  }
  const files::MemoryFile written;
  command.argv.insert(command.argv.end(), {"--out", written.path()});
  launch::Process process(command);
  finish("collectives", process, "collectives");
  return written.text();
}

}  // namespace lockstep::cases
