// The command line of `bench predict`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cases/sweep.h"
#include "predict/cluster.h"
#include "predict/step_time.h"

namespace lockstep::forecast {

struct Line {
  Sweep sweep;  // the profile's: one model, one batch, one card
  std::vector<int> cards;
  std::string inside = "pcie";
  std::string between = "25gbit";
  std::string collectives;  // a file of `bench collectives --out`; empty: none
  predict::Cluster cluster;
  predict::Buckets buckets;
  bool tree = false;
  std::string out;   // a JSON file; empty: none
  std::string help;  // not empty: print it and leave
  const std::string& model() const { return sweep.models.front(); }
  int64_t batch() const { return sweep.batch_sizes.front(); }
};

// Throws CLI::ParseError or std::invalid_argument, one line.
Line parse_line(const std::vector<std::string>& arguments);

}  // namespace lockstep::forecast
