#include "checkpoint/options.h"

#include <CLI/CLI.hpp>
#include <stdexcept>

namespace lockstep::checkpoint {

void bind(CLI::App& app, CheckpointOptions& options) {
  app.add_option_function<std::string>(
      "--checkpoint",
      [&options](const std::string& folder) {
        // A variable that is not set, in a script.
        if (folder.empty()) {
          throw std::invalid_argument("--checkpoint without a folder's name; give one");
        }
        options.folder = folder;
      },
      "folder for checkpoints, which all machines see; one is left at the end");
  app.add_option("--checkpoint-every", options.every,
                 "and one after so many optimizer steps; 0: none");
  app.add_option("--checkpoint-keep", options.keep, "how many of the newest are kept")
      ->capture_default_str();
  app.add_flag("--resume", options.resume,
               "begin at the newest whole checkpoint, where there is one");
}

void validate(const CheckpointOptions& options) {
  if (options.every < 0) {
    throw std::invalid_argument("--checkpoint-every " + std::to_string(options.every) +
                                " cannot be; try 100");
  }
  if (options.keep < 1) {
    throw std::invalid_argument("--checkpoint-keep " + std::to_string(options.keep) +
                                " would keep none; try 1 or more");
  }
  const bool idle = options.every > 0 || options.resume;
  if (options.folder.empty() && idle) {
    throw std::invalid_argument(
        std::string(options.resume ? "--resume" : "--checkpoint-every") +
        " needs a folder; give --checkpoint as well");
  }
}

}  // namespace lockstep::checkpoint
