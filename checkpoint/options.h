// What a run can be told of checkpoints, and where a resumed one begins.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): as CLI11 has it
class App;
}

namespace lockstep::checkpoint {

struct CheckpointOptions {
  std::string folder;  // empty: none are made
  // Optimizer steps from one to the next; 0: one, at the end.
  int64_t every = 0;
  int64_t every_epochs = 0;  // likewise, where an epoch has ended
  int64_t keep = 3;
  bool resume = false;
  std::string option = "--checkpoint";  // what errors call the folder
};

struct Start {
  int64_t step = 0;  // that many were taken
  int64_t epoch = 0;
  int64_t samples = 0;  // that the epoch's order had given, to all ranks
};

void bind(CLI::App& app, CheckpointOptions& options);
// Throws std::invalid_argument naming the first option whose value cannot be.
void validate(const CheckpointOptions& options);

}  // namespace lockstep::checkpoint
