#include "cases/bound.h"

#include <algorithm>
#include <numeric>

namespace lockstep::cases {

namespace {

constexpr size_t kParts = 8;

void even_out(std::vector<double>& steps) {
  for (size_t part = 0; part < kParts; ++part) {
    const auto first =
        steps.begin() + static_cast<std::ptrdiff_t>(part * steps.size() / kParts);
    const auto end =
        steps.begin() + static_cast<std::ptrdiff_t>((part + 1) * steps.size() / kParts);
    const double sum = std::accumulate(first, end, 0.0);
    std::fill(first, end,
              sum / static_cast<double>(std::max<std::ptrdiff_t>(1, end - first)));
  }
}

}  // namespace

TrainReport side_by_side(const std::vector<TrainReport>& processes, int cores) {
  TrainReport job = training::merge(processes);
  job.phases_ms.clear();
  std::vector<double> ends;  // of every step of every process, since the beginning
  for (const TrainReport& process : processes) {
    double now = 0;
    for (const double step : process.step_ms) ends.push_back(now += step);
  }
  std::sort(ends.begin(), ends.end());
  double begin = 0;
  for (size_t step = 0; step < job.step_ms.size(); ++step) {
    const double end = ends.at((step + 1) * processes.size() - 1);
    job.step_ms[step] = end - begin;
    begin = end;
  }
  if (static_cast<int>(processes.size()) > cores) even_out(job.step_ms);
  return job;
}

}  // namespace lockstep::cases
