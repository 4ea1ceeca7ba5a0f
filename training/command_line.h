// The command line of every program: one function binds the options they share, so that
// `--help` reads alike everywhere and is the reference.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "training/options.h"

namespace lockstep::training {

// How a program uses the cards.
enum class Ranks {
  one,          // one process, one card
  one_process,  // one process, a thread a card
  one_a_card,   // a process a card
};

struct CommandLine {
  TrainOptions options;
  int64_t global_batch_size = 0;  // 0: not given; else shared out over the cards
  std::string metrics_file;
  std::string report_file;
  bool quiet = false;
  bool dry_run = false;
  // Where the ranks that this program starts meet. Port 0: any free one.
  std::string master_addr = "127.0.0.1";
  int master_port = 0;
  std::string help;  // not empty: print it and leave
};

// Throws CLI::ParseError or std::invalid_argument for what cannot be.
CommandLine parse_command_line(const std::string& program,
                               const std::string& description, Ranks ranks,
                               const std::vector<std::string>& arguments);

// A card's share of a step's samples. Throws std::invalid_argument where they do not
// divide.
int64_t local_batch(int64_t global_batch, int cards);

// `_` means `-` in long names: "--batch_size=64" becomes "--batch-size=64".
std::vector<std::string> normalised(std::vector<std::string> arguments);

}  // namespace lockstep::training
