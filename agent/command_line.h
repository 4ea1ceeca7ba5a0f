// launch's command line: torchrun's options under torchrun's names, then the program
// and its arguments, which are nobody's here. What is not given is looked for in
// torchrun's environment (PET_NNODES and so on, as PyTorchJob sets them).
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::agent {

// What cannot be told from the words alone.
struct Machine {
  int cpus = 1;
  int gpus = 0;
  std::vector<std::string> addresses;  // its own that others may reach
  // Its number where srun started this, one task a machine.
  std::optional<int> node_rank;
};

Machine this_machine();

// [stream]; kOut and kErr of console.h.
using Streams = std::array<bool, 2>;

struct Options {
  int nodes = 1;
  int node_rank = 0;
  int ranks_per_node = 1;
  // Where the launchers and all ranks meet; the launcher of node 0 listens there.
  std::string master_addr = "127.0.0.1";
  int master_port = 29500;  // 0: any free one
  int max_restarts = 0;
  std::string run_id = "none";
  std::string log_dir;           // empty: no logs
  std::vector<Streams> to_file;  // [local rank]
  std::vector<Streams> to_console;
  // For the machines that have not come: at the start, and when all start again.
  std::chrono::seconds first_timeout{300};
  std::chrono::seconds timeout{60};
  std::vector<std::string> command;
  std::string help;  // not empty: it was asked for, and the rest says nothing
};

// Throws std::invalid_argument or CLI::ParseError, one line, for what cannot be.
Options parse_command_line(const std::vector<std::string>& arguments,
                           const Machine& machine);

}  // namespace lockstep::agent
