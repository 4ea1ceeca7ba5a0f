// The options of bench, bound to what they set. Their text is the reference.
//
// Not here: what they may not be (command_line.h, cases/sweep.h).
#pragma once

#include <CLI/CLI.hpp>

#include "bench/command_line.h"

namespace lockstep::bench {

void bind(CLI::App& app, BenchLine& line);

}  // namespace lockstep::bench
