#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <tuple>

#include "config/config.h"
#include "host/this_host.h"
#include "launch/launcher.h"
#include "launch/place.h"
#include "launch/process.h"
#include "program/line_prefix.h"
#include "program/program.h"
#include "runner/keys.h"
#include "runner/plugins.h"
#include "runner/runner.h"
#include "runner/same_configuration.h"

namespace lockstep::runner {
namespace {

struct Arguments {
  std::string config;
  std::vector<std::string> changes;  // "optim_wrapper.optimizer.lr=0.1"
  program::CommandLine line;
};

Arguments parse(const std::vector<std::string>& arguments) {
  Arguments parsed;
  std::vector<std::string> more;
  std::string launcher, work_dir;
  bool resume = false;
  CLI::App app("Trains as a configuration says, on the ranks that a launcher started.",
               "train");
  app.add_option("config", parsed.config, "a TOML file")->required();
  app.add_option("changes", parsed.changes,
                 "key=value, over the file's: optim_wrapper.optimizer.lr=0.1");
  app.add_option("--cfg-options", more, "the same");
  app.add_option("--launcher", launcher,
                 "who started this process: none, pytorch (torchrun, launch), slurm or "
                 "mpi; else the configuration's, or none");
  app.add_option("--work-dir", work_dir, "folder of checkpoints and scalars.jsonl");
  app.add_flag("--resume", resume, "go on with the newest checkpoint of work_dir");
  if (!program::parse(app, arguments, parsed.line)) return parsed;
  parsed.changes.insert(parsed.changes.end(), more.begin(), more.end());
  for (const auto& [option, key, text] :
       {std::tuple{"--launcher", "launcher", launcher},
        {"--work-dir", "work_dir", work_dir}}) {
    if (app.count(option) > 0) parsed.changes.push_back(config::text_change(key, text));
  }
  if (resume) parsed.changes.emplace_back("resume=true");
  parsed.line.progress = false;  // the logger hook shows it
  return parsed;
}

// Which rank this process is, and whether anybody made it one.
struct Part {
  World world;
  bool distributed;
};

Part part_of(const std::string& launcher, const launch::Environment& environment) {
  if (launcher == "none") {
    const World there = launch::likely_world(environment);
    if (there.world_size > 1) {
      throw std::invalid_argument(
          "--launcher none: this process is rank " + std::to_string(there.rank) +
          " of " + std::to_string(there.world_size) +
          " that a launcher started; give pytorch, slurm or mpi, as it is");
    }
    return {World(), false};
  }
  launch::PlaceOptions options;
  options.launcher = launcher;
  const launch::Place place = launch::place_of(options, environment);
  return {place.world, true};
}

int train(const Arguments& arguments, const launch::Environment& environment,
          World& world, std::string& speaker) {
  namespace fs = std::filesystem;
  const config::Section config = config::load(arguments.config, arguments.changes);
  const std::string launcher =
      config.word("launcher", "none", {"none", "pytorch", "slurm", "mpi"});
  Part part;
  in_keys(config, [&] { part = part_of(launcher, environment); });
  world = part.world;
  speaker = program::line_prefix(world, environment, host::short_name()) + "train";
  program::CommandLine line = arguments.line;
  const fs::path path(arguments.config);
  load_plugins(config, path.parent_path().string());
  Run run = make_run(config, world, part.distributed, path.stem().string(), line.quiet);
  line.options = run.info->options;
  const program::Program train = {"train", "", run.way.ranks};
  program::check_run(train, line, world);
  in_keys(config, [&] {
    if (line.dry_run) return program::try_first_sample(line.options);
    make_ready(config, run);
    line.options = run.info->options;
    // Horovod's engine alone may use the group while it runs.
    if (run.way.ranks == program::Ranks::one_a_card) {
      line.options.observers.push_back(
          make_same_configuration(config::values(arguments.config, arguments.changes)));
    }
    program::run_rank(train, speaker, run.way.train, std::move(line), world);
  });
  return 0;
}

}  // namespace
}  // namespace lockstep::runner

int main(int argc, char** argv) {
  using namespace lockstep;
  launch::die_with_parent();
  launch::hold_standard_streams();
  World world;
  std::string speaker = "train";
  return program::run_guarded(speaker, world, [&] {
    // Before the options: whoever finds them wrong must know which rank it is.
    const launch::Environment environment = launch::current_environment();
    world = launch::likely_world(environment);
    speaker = program::line_prefix(world, environment, host::short_name()) + "train";
    const runner::Arguments arguments =
        runner::parse({argv + std::min(1, argc), argv + argc});
    if (!arguments.line.help.empty()) {
      std::cout << arguments.line.help;
      return 0;
    }
    return runner::train(arguments, environment, world, speaker);
  });
}
