// The options of programs whose ranks are processes: how they bring gradients together,
// and where they meet.
#pragma once

#include "program/command_line.h"

namespace lockstep::program {

void bind_accumulate(CLI::App& app, training::TrainOptions& options);
void bind_ddp(CLI::App& app, CommandLine& line);
// Of ranks on several machines.
void bind_machines(CLI::App& app, CommandLine& line);

}  // namespace lockstep::program
