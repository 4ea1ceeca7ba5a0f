// The options of programs whose ranks are processes: how they bring gradients together,
// and where they meet.
#pragma once

#include "program/command_line.h"

namespace lockstep::program {

void bind_accumulate(CLI::App& app, training::TrainOptions& options,
                     const std::string& names = "--accumulate");
// Of all of them.
void bind_ranks(CLI::App& app, CommandLine& line);
void bind_ddp(CLI::App& app, training::TrainOptions& options);
// As horovodrun and Horovod's examples call them.
void bind_horovod(CLI::App& app, training::TrainOptions& options);
// Of ranks on several machines.
void bind_machines(CLI::App& app, CommandLine& line);

}  // namespace lockstep::program
