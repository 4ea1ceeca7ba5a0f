// How many times as fast as its peers a case is: the figures that a claim is made of.
#pragma once

#include <string>
#include <vector>

#include "rows/row.h"

namespace lockstep::summary {

// One case's throughput over another's, of the same job. Repetitions are interleaved
// and a machine's speed drifts, so repetition k is compared with repetition k.
struct Ratio {
  std::string model;
  int cards = 1;
  std::string ours, peer;  // modes and swept knobs: "ddp", "ddp-python/cap:5"
  std::vector<double> of_repetitions;
};

// For each model, batch and number of cards: the single card over the plain Python
// loop, DDP (with the optimizer sharded, too) over c10d's reducer, Python's DDP, the
// bound; DataParallel over the bound, and its other ways over the first; Horovod's way
// over DDP on the same backend, and over the bound. A peer is compared with those of
// its own bucket cap and link, where it has one. What was not measured is left out.
std::vector<Ratio> ratios_of(const std::vector<rows::Row>& rows);

// A line each: median and [lowest, highest] over repetitions; empty without a ratio.
std::string ratio_table(const std::vector<Ratio>& ratios);

}  // namespace lockstep::summary
