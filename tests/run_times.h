// Runs as `ddp --bucket-times` records them, made up: ranks that start each step
// together, as a collective releases them, and whose work has noise. For tests alone.
#pragma once

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "timing/bucket_times.h"

namespace lockstep {

struct MadeUpRun {
  int ranks = 2;
  int64_t steps = 100;
  int buckets = 4;
  int hosts = 1;
  uint32_t seed = 1;
  double noise = 0.03;  // standard deviation of a phase, as a part of it
  double forward_us = 3000, backward_us = 6000, optimizer_us = 1000;
  double collective_us = 500;  // of a bucket
  double uncertainty_us = 0;   // of every clock but rank 0's, which are off by so much
  // How much longer a rank's phase takes, and what is added to it.
  std::function<double(int64_t step, int rank, const char* phase)> factor;
  std::function<double(std::mt19937&)> hiccup_us;
};

inline timing::RunTimes made_up(const MadeUpRun& like) {
  std::mt19937 random(like.seed);
  std::normal_distribution<double> normal(1, like.noise);
  timing::RunTimes run;
  run.run = {{"model", "made up"}, {"reducer", "bucketed"}, {"backend", "gloo"}};
  run.world_size = like.ranks;
  std::vector<double> off;
  for (int rank = 0; rank < like.ranks; ++rank) {
    run.hosts.push_back(
        std::string(1, static_cast<char>('a' + rank * like.hosts / like.ranks)));
    const double uncertainty = rank == 0 ? 0 : like.uncertainty_us;
    run.clocks.push_back({0, uncertainty});
    off.push_back(uncertainty * (rank % 2 == 0 ? -1 : 1));
  }
  const auto took = [&](double us, int64_t step, int rank, const char* phase) {
    const double factor = like.factor ? like.factor(step, rank, phase) : 1;
    return std::max(0.1, us * factor * normal(random)) +
           (like.hiccup_us ? like.hiccup_us(random) : 0);
  };
  double released = 0;
  for (int64_t step = 0; step < like.steps; ++step) {
    std::vector<timing::StepTimes> lines;
    for (int rank = 0; rank < like.ranks; ++rank) {
      timing::StepTimes one;
      one.step = step;
      one.rank = rank;
      one.begin_us = released + took(like.optimizer_us, step, rank, "optimizer");
      one.backward_us = one.begin_us + took(like.forward_us, step, rank, "forward");
      double now = one.backward_us;
      for (int bucket = 0; bucket < like.buckets; ++bucket) {
        now += took(like.backward_us / like.buckets, step, rank, "backward");
        one.buckets.push_back({1 << 20, now, now, 0});
      }
      one.backward_end_us = now;
      lines.push_back(one);
    }
    double over = 0;
    for (int bucket = 0; bucket < like.buckets; ++bucket) {
      const auto at = static_cast<size_t>(bucket);
      for (const auto& line : lines) over = std::max(over, line.buckets[at].launch_us);
      over += like.collective_us;
      for (auto& line : lines) line.buckets[at].finish_us = over;
    }
    for (auto& line : lines)
      line.reduced_us = released = std::max(over, line.backward_end_us);
    for (auto& line : lines) {
      const double shift = off[static_cast<size_t>(line.rank)];
      for (double* us : {&line.begin_us, &line.backward_us, &line.backward_end_us,
                         &line.reduced_us}) {
        *us += shift;
      }
      for (auto& bucket : line.buckets) {
        for (double* us : {&bucket.ready_us, &bucket.launch_us, &bucket.finish_us}) {
          *us += shift;
        }
      }
      run.steps.push_back(line);
    }
  }
  return run;
}

}  // namespace lockstep
