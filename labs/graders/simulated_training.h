// DDP's real training on simulated ranks: the same in every run, and a deadlock or
// collectives that do not match end it at once.
#pragma once

#include <functional>
#include <vector>

#include "ddp/train.h"
#include "simulator/simulation.h"
#include "training/catalog.h"

namespace lockstep::labs {

// The job's report. `world_of` says who each rank is; the options' seed draws who goes
// first.
inline TrainReport train_simulated(TrainOptions options, int ranks,
                                   const predict::Cluster& cluster,
                                   const std::function<World(int)>& world_of) {
  options.backend = "simulated";
  training::process_groups().add("simulated", [](const auto&, const World&) {
    return simulator::this_rank()->shared_group();
  });
  std::vector<TrainReport> reports(static_cast<size_t>(ranks));
  simulator::Simulation simulation(ranks, cluster, options.seed);
  simulation.run([&](simulator::Rank& rank) {
    reports[static_cast<size_t>(rank.rank())] =
        ddp::train(options, world_of(rank.rank()));
  });
  return training::merge(reports);
}

}  // namespace lockstep::labs
