#include "bench/bound.h"

#include <algorithm>

namespace lockstep::bench {

TrainReport side_by_side(const std::vector<TrainReport>& processes) {
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
  return job;
}

}  // namespace lockstep::bench
