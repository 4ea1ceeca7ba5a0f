#include "timing/replay.h"

#include <algorithm>
#include <numeric>

namespace lockstep::timing {
namespace {

double end_us(const Replay& step, double not_before) {
  double end = 0;
  for (size_t i = 0; i < step.ready_us.size(); ++i) {
    end = std::max({end, step.ready_us[i], not_before}) + step.duration_us[i];
  }
  return std::max(end, step.backward_end_us) + step.after_us;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

double ideal_end_us(const Replay& step) { return end_us(step, step.begin_us); }

double sync_end_us(const Replay& step) { return end_us(step, step.backward_end_us); }

Replay replay_of(const std::vector<StepTimes>& ranks, double end_us) {
  Replay step;
  step.begin_us = ranks.front().begin_us;
  for (const StepTimes& rank : ranks) {
    step.begin_us = std::max(step.begin_us, rank.begin_us);
    step.backward_end_us = std::max(step.backward_end_us, rank.backward_end_us);
  }
  std::vector<double> bytes;
  double begun = step.begin_us, over = step.begin_us;
  size_t first = 0;  // of those under way side by side
  const auto share_out = [&](size_t end) {
    const double all =
        std::accumulate(bytes.begin() + static_cast<int64_t>(first), bytes.end(), 0.0);
    for (size_t b = first; b < end; ++b) {
      step.duration_us.push_back(all > 0 ? (over - begun) * bytes[b] / all : 0);
    }
    first = end;
  };
  const size_t buckets = ranks.front().buckets.size();
  for (size_t b = 0; b < buckets; ++b) {
    double ready = step.begin_us, launched = step.begin_us, finish = step.begin_us;
    for (const StepTimes& rank : ranks) {
      ready = std::max(ready, rank.buckets.at(b).ready_us);
      launched = std::max(launched, rank.buckets[b].launch_us);
      finish = std::max(finish, rank.buckets[b].finish_us);
    }
    if (launched >= over) {  // nothing else is under way
      share_out(b);
      begun = over = launched;
    }
    step.ready_us.push_back(ready);
    bytes.push_back(static_cast<double>(ranks.front().buckets[b].bytes));
    over = std::max(over, finish);
  }
  share_out(buckets);
  step.after_us = std::max(0.0, end_us - std::max(step.backward_end_us, over));
  return step;
}

StepLengths step_lengths(const RunTimes& run, int64_t warm_up) {
  std::vector<std::vector<StepTimes>> steps;
  for (const StepTimes& step : run.steps) {
    if (steps.empty() || steps.back().front().step != step.step) steps.emplace_back();
    steps.back().push_back(step);
  }
  std::vector<double> taken, ideal;
  for (auto i = static_cast<size_t>(warm_up); i + 1 < steps.size(); ++i) {
    double end = steps[i + 1].front().begin_us;
    for (const StepTimes& rank : steps[i + 1]) end = std::max(end, rank.begin_us);
    const Replay step = replay_of(steps[i], end);
    taken.push_back(end - step.begin_us);
    ideal.push_back(ideal_end_us(step) - step.begin_us);
  }
  StepLengths lengths;
  lengths.steps = std::ssize(taken);
  if (taken.empty()) return lengths;
  lengths.taken_us = median(std::move(taken));
  lengths.ideal_us = median(std::move(ideal));
  return lengths;
}

}  // namespace lockstep::timing
