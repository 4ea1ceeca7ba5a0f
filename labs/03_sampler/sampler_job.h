// A job's ranks, on machines of so many cards each, and the samples that each of them
// takes by the student's sampler, and should take.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <cstdint>
#include <string>
#include <vector>

#include "training/catalog.h"

namespace lockstep::labs {

using Indices = std::vector<int64_t>;

struct SamplerJob {
  int64_t samples = 0;
  int ranks = 1;
  int cards_of_machine = 1;
  uint64_t seed = 0;
  bool drop_last = false;

  World world(int rank) const {
    World world;
    world.rank = rank;
    world.local_rank = rank % cards_of_machine;
    world.node_rank = rank / cards_of_machine;
    world.world_size = ranks;
    world.local_world_size = cards_of_machine;
    return world;
  }
  // The student's.
  training::SamplerPtr sampler(int rank) const {
    TrainOptions options;
    options.seed = seed;
    options.drop_last = drop_last;
    options.sampler = "student";
    return training::make_sampler("", samples, options, world(rank));
  }
  // Of samplers that were made for this epoch.
  std::vector<Indices> indices(int64_t epoch = 0) const {
    std::vector<Indices> all;
    for (int rank = 0; rank < ranks; ++rank) {
      const training::SamplerPtr of_rank = sampler(rank);
      of_rank->set_epoch(epoch);
      all.push_back(of_rank->indices());
    }
    return all;
  }

  // As torch/utils/data/distributed.py has it.
  Indices order(int64_t epoch = 0) const {
    const at::Tensor order = at::randperm(
        samples, at::detail::createCPUGenerator(seed + static_cast<uint64_t>(epoch)),
        at::kLong);
    return {order.const_data_ptr<int64_t>(), order.const_data_ptr<int64_t>() + samples};
  }
  int64_t each() const {
    return drop_last ? samples / ranks : (samples + ranks - 1) / ranks;
  }
  Indices wanted(int rank, int64_t epoch = 0) const {
    const Indices all = order(epoch);
    Indices mine;
    for (int64_t i = 0; i < each(); ++i) {
      mine.push_back(all[static_cast<size_t>((i * ranks + rank) % samples)]);
    }
    return mine;
  }

  std::string text() const {
    return std::to_string(samples) + " samples, " + std::to_string(ranks) + " ranks" +
           (cards_of_machine < ranks
                ? " on machines of " + std::to_string(cards_of_machine) + " cards"
                : "") +
           (drop_last ? ", drop_last" : "") + ": ";
  }
};

}  // namespace lockstep::labs
