// The command line of `bench collectives`, with nccl-tests' flags.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/engine.h"

namespace lockstep::collectives {

struct Options {
  int64_t min_bytes = 8;
  int64_t max_bytes = int64_t{64} << 20;
  int factor = 2;
  int64_t step_bytes = 0;  // not 0: each so many more than the one before, no factor
  Rounds rounds;
  std::vector<std::string> backends = {"auto"};
  std::vector<std::string> collectives = {"all_reduce"};
  std::vector<std::string> algorithms = {"backend"};  // of all_reduce
  int gpus = 2;                                       // ranks, on this machine
  bool memcpy = true;                                 // beside the collectives
  std::string out;                                    // JSON lines; empty: none
  std::string help;                                   // not empty: print it and leave
};

// Throws CLI::ParseError or std::invalid_argument for what cannot be.
Options parse(const std::vector<std::string>& arguments);

// The command line from which parse() gives these, for the ranks.
std::vector<std::string> arguments_of(const Options& options);

// "8", "4K", "64M", "1G": powers of 1024, as nccl-tests reads them.
int64_t bytes_of(const std::string& option, const std::string& text);

// From the smallest to the largest, by the factor or the step.
std::vector<int64_t> sizes_of(const Options& options);

}  // namespace lockstep::collectives
