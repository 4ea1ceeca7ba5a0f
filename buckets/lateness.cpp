#include "buckets/lateness.h"

#include <algorithm>
#include <limits>
#include <map>

#include "buckets/statistics.h"
#include "timing/replay.h"

namespace lockstep::buckets {
namespace {

using timing::RunTimes;
using timing::StepTimes;

using ByRank = std::vector<const StepTimes*>;  // null where there is no line

size_t buckets_of_all(const ByRank& ranks) {
  size_t fewest = std::numeric_limits<size_t>::max();
  for (const StepTimes* rank : ranks) {
    fewest = std::min(fewest, rank == nullptr ? 0 : rank->buckets.size());
  }
  return fewest;
}

// When the last of the first `buckets` buckets was ready.
double last_ready(const StepTimes& step, size_t buckets) {
  double ready = step.buckets[0].ready_us;
  for (size_t i = 1; i < buckets; ++i) {
    ready = std::max(ready, step.buckets[i].ready_us);
  }
  return ready;
}

ComparedStep compared(const ByRank& ranks, const ByRank* before) {
  const size_t buckets = buckets_of_all(ranks);
  ComparedStep step;
  step.step = ranks[0]->step;
  step.ranks = ranks;
  std::vector<double> ready, work;
  std::array<std::vector<double>, kPhases> phases;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const StepTimes& one = *ranks[rank];
    // Of a step whose predecessor nobody saw, begin is all there is.
    const double released =
        before != nullptr ? (*before)[rank]->reduced_us : one.begin_us;
    ready.push_back(last_ready(one, buckets));
    work.push_back(ready.back() - released);
    phases[0].push_back(released);
    phases[1].push_back(one.begin_us - released);
    phases[2].push_back(one.backward_us - one.begin_us);
    phases[3].push_back(ready.back() - one.backward_us);
  }
  step.late_us = over_others(ready);
  step.work_us = median(work);
  for (size_t phase = 0; phase < kPhases; ++phase) {
    step.phase_us[phase] = over_others(phases[phase]);
  }
  return step;
}

// Against the others' clocks, of which the worst counts.
std::vector<double> clock_errors(const RunTimes& times) {
  std::vector<double> errors;
  for (size_t rank = 0; rank < times.clocks.size(); ++rank) {
    double worst = 0;
    for (size_t other = 0; other < times.clocks.size(); ++other) {
      if (other != rank) worst = std::max(worst, times.clocks[other].uncertainty_us);
    }
    errors.push_back(worst + times.clocks[rank].uncertainty_us);
  }
  return errors;
}

double median_of_others(const std::vector<double>& by_rank, size_t rank) {
  return by_rank[rank] - over_others(by_rank)[rank];
}

}  // namespace

std::string name_of(Phase phase) {
  switch (phase) {
    case Phase::released:
      return "before its step began: the collectives of the step before were over "
             "later for it";
    case Phase::between:
      return "between the steps (optimizer, data)";
    case Phase::forward:
      return "in forward";
    case Phase::backward:
      return "in backward";
  }
  return "";
}

Comparison compare(const RunTimes& times) {
  std::map<int64_t, ByRank> lines;
  for (const StepTimes& line : times.steps) {
    ByRank& ranks = lines[line.step];
    ranks.resize(static_cast<size_t>(times.world_size));
    ranks[static_cast<size_t>(line.rank)] = &line;
  }
  Comparison comparison;
  comparison.clock_us = clock_errors(times);
  int64_t seen = 0;
  std::vector<double> work;
  for (const auto& [step, ranks] : lines) {
    const bool warm_up = seen++ < kWarmUp;
    if (buckets_of_all(ranks) == 0) {
      ++comparison.incomplete;
      continue;
    }
    const auto found = lines.find(step - 1);
    const bool follows =
        found != lines.end() && std::find(found->second.begin(), found->second.end(),
                                          nullptr) == found->second.end();
    ComparedStep one = compared(ranks, follows ? &found->second : nullptr);
    if (!warm_up) work.push_back(one.work_us);
    (warm_up ? comparison.warm_up : comparison.steps).push_back(std::move(one));
  }
  comparison.work_us = median(std::move(work));
  return comparison;
}

double cost_us(const ComparedStep& step, int rank) {
  std::vector<StepTimes> ranks;
  for (const StepTimes* one : step.ranks) {
    ranks.push_back(*one);
    ranks.back().buckets.resize(buckets_of_all(step.ranks));
  }
  timing::Replay replay = timing::replay_of(ranks, 0);
  replay.backward_end_us = replay.after_us = 0;  // of the collectives alone
  timing::Replay without = replay;
  for (size_t i = 0; i < replay.ready_us.size(); ++i) {
    std::vector<double> launched;
    for (const StepTimes& one : ranks) launched.push_back(one.buckets[i].launch_us);
    replay.ready_us[i] = *std::max_element(launched.begin(), launched.end());
    const auto late = static_cast<size_t>(rank);
    launched[late] = std::min(launched[late], median_of_others(launched, late));
    without.ready_us[i] = *std::max_element(launched.begin(), launched.end());
  }
  return timing::ideal_end_us(replay) - timing::ideal_end_us(without);
}

}  // namespace lockstep::buckets
