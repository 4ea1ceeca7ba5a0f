// `bench collectives`: the ranks are this program again, started anew for each backend.
#include <cstdio>
#include <fstream>
#include <iostream>

#include "collectives/command_line.h"
#include "collectives/figures.h"
#include "files/output_file.h"
#include "launch/launcher.h"
#include "launch/process.h"
#include "launch/spawn.h"
#include "program/program.h"
#include "training/catalog.h"

namespace lockstep::collectives {
namespace {

TrainOptions training_options(const Options& options, const std::string& backend) {
  TrainOptions training;
  training.device = "cpu";
  training.gpus = options.gpus;
  training.backend = backend;
  return training;
}

// Everything that is to be measured, memcpy first: the others are told in parts of it.
std::vector<Collective> all_of(const Options& options) {
  std::vector<Collective> all;
  if (options.memcpy) all.push_back(memcpy_side_by_side());
  for (const std::string& name : options.collectives) {
    for (const std::string& algorithm : options.algorithms) {
      all.push_back(make_collective(name, algorithm, options.gpus));
      if (name != "all_reduce") break;  // it has only one
    }
  }
  return all;
}

int run_rank(const Options& options, const World& world) {
  TrainOptions training = training_options(options, options.backends.front());
  training.own_device = world.own_device;
  const auto group = training::make_process_group(training, world);
  const Card card =
      training::make_cards(training, world.local_world_size).at(world.local_rank);
  const CardScope scope(card);
  const Setting setting = {group->backend_name(), group->size(), card.threads(),
                           options.rounds};
  const bool speaks = group->rank() == 0;
  std::ofstream out;
  if (speaks && !options.out.empty()) out.open(options.out, std::ios::app);
  std::vector<double> memcpy_algbw;
  int64_t wrong = 0;
  for (const Collective& collective : all_of(options)) {
    const bool memcpy = collective.name == "memcpy";
    if (made_of_messages(collective) && setting.backend == "shm") {
      if (speaks) {
        std::cout << "# all_reduce, algorithm " << collective.algorithm
                  << ": waived, backend shm sends no message to one rank alone\n";
      }
      continue;
    }
    if (speaks)
      std::cout << table_head(setting, collective, options.memcpy && !memcpy)
                << std::flush;
    const std::vector<int64_t> sizes = sizes_of(options);
    for (size_t i = 0; i < sizes.size(); ++i) {
      const Figure figure = measure(*group, collective, sizes[i], options.rounds);
      if (memcpy) memcpy_algbw.push_back(figure.algbw);
      wrong += figure.wrong.value_or(0);
      if (!speaks) continue;
      std::cout << table_line(figure, collective,
                              memcpy || !options.memcpy ? 0 : memcpy_algbw[i])
                << std::flush;
      if (out.is_open()) out << json_line(figure, setting, collective) << std::flush;
    }
  }
  if (speaks && out.is_open() && !out.good()) {
    throw std::runtime_error("cannot write " + options.out +
                             "; free some space or give another path");
  }
  // The same on every rank.
  if (wrong > 0) throw std::runtime_error("results are wrong, see #wrong");
  return 0;
}

int start_ranks(const Options& options) {
  for (const std::string& backend : options.backends) {
    training::resolve_backend(training_options(options, backend),
                              launch::on_one_machine(options.gpus));
  }
  if (!options.out.empty()) files::write_whole("", options.out);
  launch::SpawnOptions spawn;
  spawn.ranks_say_why = true;
  spawn.speaker = "collectives: ";
  for (const std::string& backend : options.backends) {
    Options one = options;
    one.backends = {backend};
    std::vector<std::string> argv = arguments_of(one);
    argv.insert(argv.begin(), "collectives");
    const int status =
        launch::spawn_ranks(launch::on_one_machine(options.gpus), argv, spawn);
    if (status != 0) return status;
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::collectives

int main(int argc, char** argv) {
  using namespace lockstep;
  launch::die_with_parent();
  launch::hold_standard_streams();
  World world;
  return program::run_guarded("collectives", world, [&] {
    const auto options = collectives::parse({argv + std::min(1, argc), argv + argc});
    if (!options.help.empty()) {
      std::cout << options.help;
      return 0;
    }
    const auto environment = launch::current_environment();
    const auto rank =
        launch::launched_by(launch::launcher_of("auto", environment), environment);
    if (!rank || rank->starts_ranks) return collectives::start_ranks(options);
    world = rank->world;
    return collectives::run_rank(options, world);
  });
}
