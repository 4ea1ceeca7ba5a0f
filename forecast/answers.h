// What one wants to know before one rents a thousand cards, out of predict/'s
// simulation: the curve over cards, the best bucket cap, where DataParallel stops
// helping, the batch with which cards are well used.
//
// Weak scaling throughout: every card takes its own local batch.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "forecast/profile.h"
#include "predict/cluster.h"
#include "predict/step_time.h"

namespace lockstep::forecast {

// The same step profiled several times. What they differ by is what is not known.
using Profiles = std::vector<StepAtBatch>;

struct Setting {
  predict::Cluster cluster;
  predict::Buckets buckets;
  predict::DataParallelBytes sample;  // input and outputs of one sample; parameters
  bool tree = false;                  // DataParallel's reduce
  int64_t batch = 0;                  // local
};

// Note [The interval of a forecast]
// From the lowest to the highest of what the profiles give, and so much more either
// way: what the simulation itself is off by in 9 of 10 of the kept cases (README's
// table of forecasts, made by tests/forecasts.sh).
inline constexpr double kModelError = 0.1;

struct Interval {
  double value = 0;  // the median profile's
  double low = 0;
  double high = 0;
};

// Of what each profile gives, one or more. Note [The interval of a forecast]
Interval interval_of(std::vector<double> values);

struct Point {
  int cards = 1;
  Interval ddp_s;  // a step
  Interval ddp_exposed_s;
  double efficiency = 0;  // DDP's: one card's step over theirs
  // Absent beyond the cards of one host: DataParallel is one process.
  std::optional<Interval> data_parallel_s;
};

std::vector<Point> curve(const Profiles& profiles, const Setting& setting,
                         const std::vector<int>& cards);

struct BestCap {
  double mib = 0;
  double step_s = 0;
};
// Of so many cards, among 0, 1, 2, 4 .. up to the first that holds all gradients.
BestCap best_bucket_cap(const Profiles& profiles, const Setting& setting, int cards);

// The fewest cards of a host that take less samples a second than one card fewer does;
// nullopt: none of the host's does.
std::optional<int> data_parallel_stops_helping(const Profiles& profiles,
                                               const Setting& setting);

// The smallest local batch, of powers of two up to `most`, with which so many cards
// reach that efficiency; nullopt: none.
std::optional<int64_t> batch_for_efficiency(const Profiles& profiles, Setting setting,
                                            int cards, double efficiency, int64_t most);

}  // namespace lockstep::forecast
