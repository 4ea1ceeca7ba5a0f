// What a simulation consists of, for its own files.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "simulator/clock.h"
#include "simulator/collectives.h"
#include "simulator/messages.h"
#include "simulator/simulation.h"

namespace lockstep::simulator {

struct Simulation::State {
  State(int ranks, const predict::Cluster& of_links, uint64_t seed)
      : cluster(of_links), clock(ranks, seed) {}

  const predict::Cluster cluster;
  Clock clock;
  std::vector<Span> spans;
  // Of this run.
  std::optional<Collectives> collectives;
  std::optional<Messages> messages;
};

// A rank's end of the links. The state outlives it.
c10::intrusive_ptr<c10d::Backend> make_backend(Simulation::State& state, int rank);

}  // namespace lockstep::simulator
