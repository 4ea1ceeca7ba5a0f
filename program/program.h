// What stands around a loop to make it a program: the command line, the ranks it
// starts, the summary, the files, and one line for whatever goes wrong. A main() is a
// call of this.
#pragma once

#include <functional>
#include <string>

#include "launch/world.h"
#include "program/command_line.h"
#include "program/guarded.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::program {

struct Program {
  std::string name;
  std::string description;
  Ranks ranks;
  // Looks at the options before any rank starts; throws std::invalid_argument.
  std::function<void(const training::TrainOptions&)> check =
      [](const training::TrainOptions&) {};
};

using TrainFunction =
    std::function<training::TrainReport(const training::TrainOptions&, const World&)>;

// What can be known before anybody meets or trains: throws std::invalid_argument, or
// std::runtime_error for files that cannot be written.
void check_run(const Program& program, const CommandLine& line, const World& world);

// A rank's run, and what it leaves and says. `speaker` is how errors call it.
void run_rank(const Program& program, const std::string& speaker,
              const TrainFunction& train, CommandLine line, const World& world);

// Throws what a run would stumble over at its first sample.
void try_first_sample(const training::TrainOptions& options);

// All of it, from the command line on. The process's exit status: 0, 2 for a command
// line that cannot be, 1 for everything else. Call it from main(), before any other
// thread is started.
int run_program(const Program& program, const TrainFunction& train, int argc,
                char** argv);

}  // namespace lockstep::program
