// Children's runs on emulated hosts: a rank on each, over cables of one rate.
#include <utility>

#include "cases/child_run.h"
#include "emulation/hosts.h"
#include "files/memory_file.h"

namespace lockstep::cases {
namespace {

// Of a network of their own: nobody else has it.
constexpr int kPort = 29500;

launch::Environment place_of(int rank, int ranks) {
  return {{"RANK", std::to_string(rank)},
          {"WORLD_SIZE", std::to_string(ranks)},
          {"LOCAL_RANK", "0"},
          {"LOCAL_WORLD_SIZE", "1"},
          {"MASTER_ADDR", emulation::Hosts::address(0)},
          {"MASTER_PORT", std::to_string(kPort)}};
}

}  // namespace

std::string Children::run_on_hosts(const std::string& what, const std::string& speaker,
                                   launch::Command command, const std::string& option,
                                   int ranks, const std::string& link) const {
  const emulation::Hosts hosts(ranks, link);
  const files::MemoryFile written;
  command.argv.insert(command.argv.end(), {option, written.path()});
  std::vector<launch::Process> running;
  for (int rank = 0; rank < ranks; ++rank) {
    launch::Command each = command;
    each.argv = hosts.on(rank, command.argv);
    for (const auto& [name, value] : place_of(rank, ranks))
      each.extra_env[name] = value;
    running.emplace_back(each);
  }
  for (launch::Process& each : running) finish(what, each, speaker);
  return written.text();
}

std::string Children::time_all_reduce(int ranks, const std::string& backend,
                                      const std::string& link, int64_t least_bytes,
                                      int64_t most_bytes) const {
  launch::Command command;
  command.argv = {program("collectives"),
                  "--backend",
                  backend,
                  "--collective",
                  "all_reduce",
                  "--gpus",
                  std::to_string(ranks),
                  "--minbytes",
                  std::to_string(least_bytes),
                  "--maxbytes",
                  std::to_string(most_bytes),
                  "--stepfactor",
                  "4",
                  "--iters",
                  "3",
                  "--warmup-iters",
                  "1",
                  "--check",
                  "0"};
  command.dies_with_parent = true;
  command.out = command.err = launch::Output::kCapture;
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
