// The command line of every program: one function binds the options they share, so that
// `--help` reads alike everywhere and is the reference.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "launch/place.h"
#include "training/options.h"

namespace lockstep::program {

// How a program uses the cards.
enum class Ranks {
  one,            // one process, one card
  one_process,    // one process, a thread a card
  one_a_card,     // a process a card
  horovod,        // the same, Horovod's way
  many_machines,  // the same, on several machines
};
// Whether ranks are processes of their own.
inline bool has_ranks(Ranks ranks) { return ranks >= Ranks::one_a_card; }

struct CommandLine {
  training::TrainOptions options;
  int64_t global_batch_size = 0;  // 0: not given; else shared out over the cards
  std::string metrics_file;
  std::string report_file;
  std::string trace_file;
  bool quiet = false;
  bool progress = true;  // false: an observer of the program's own shows it
  bool dry_run = false;
  launch::PlaceOptions place;  // of programs that have ranks
  std::string help;            // not empty: print it and leave
};

// Throws CLI::ParseError or std::invalid_argument for what cannot be.
CommandLine parse_command_line(const std::string& program,
                               const std::string& description, Ranks ranks,
                               const std::vector<std::string>& arguments);

// Adds what every program can be told of its outputs, and parses. False: nothing but
// `help` is wanted. Throws as above.
bool parse(CLI::App& app, const std::vector<std::string>& arguments, CommandLine& line);

// A card's share of a step's samples. Throws std::invalid_argument where they do not
// divide.
int64_t local_batch(int64_t global_batch, int64_t cards);

// `_` means `-` in long names: "--batch_size=64" becomes "--batch-size=64"; and the
// tutorials' "-nr", which CLI11 would not have, "--node-rank".
std::vector<std::string> normalised(std::vector<std::string> arguments);

}  // namespace lockstep::program
