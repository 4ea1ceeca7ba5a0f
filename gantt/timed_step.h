// A step of a reducer on simulated cards: how long it takes, what of it is spent
// waiting, and what every card does meanwhile. Weak scaling: each card has its own
// local batch, so that a layer takes as long however many cards there are.
//
// Not here: pictures (pictures.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "predict/cluster.h"
#include "simulator/simulation.h"
#include "simulator/timed_net.h"
#include "training/options.h"

namespace lockstep::gantt {

// What is simulated.
struct Pace {
  std::vector<simulator::TimedLayer> layers;
  predict::Cluster cluster;
  training::DdpOptions ddp;
  // A card's layer takes up to so much longer, 0.1: 10 %. Drawn from the seed, for each
  // card and layer.
  double jitter = 0;
  uint64_t seed = 0;
};

struct TimedStep {
  std::string reducer;
  int cards = 0;
  double seconds = 0;  // from the first card's begin to the last one's end
  // Of it what the slowest card's own work does not explain.
  double exposed_s = 0;
  // Since the step began. A collective is named by the layers whose gradients it
  // carries, "3 to 0", where their sizes tell them.
  std::vector<simulator::Span> spans;
};

// The third step, when a reducer has found its buckets. Throws std::runtime_error where
// the gradients are not the mean over cards (there is no use in being quick at that),
// simulator::Deadlock and simulator::Mismatch.
TimedStep timed_step(const std::string& reducer, int cards, const Pace& pace);

}  // namespace lockstep::gantt
