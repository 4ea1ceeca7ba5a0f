#include "timing/gathered.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace lockstep::timing {
namespace {

void change_times(std::vector<StepTimes>& steps,
                  const std::function<double(double)>& changed) {
  for (StepTimes& step : steps) {
    for (double* us :
         {&step.begin_us, &step.backward_us, &step.backward_end_us, &step.reduced_us}) {
      *us = changed(*us);
    }
    for (BucketTimes& bucket : step.buckets) {
      for (double* us : {&bucket.ready_us, &bucket.launch_us, &bucket.finish_us}) {
        *us = changed(*us);
      }
    }
  }
}

}  // namespace

RunTimes gathered(comm::ProcessGroup& group, RunTimes run, const std::string& host,
                  const AlignedClock& clock, const std::vector<StepTimes>& steps) {
  RunTimes mine;  // a run of one rank
  mine.hosts = {host};
  mine.clocks = {clock.offset()};
  mine.steps = steps;
  for (StepTimes& step : mine.steps) step.rank = 0;
  change_times(mine.steps, [&](double us) { return clock.of_rank_0(us); });
  const std::vector<std::string> texts = group.all_gather(to_json_lines(mine));
  run.world_size = group.size();
  if (group.rank() != 0) return run;

  std::vector<RunTimes> ranks;
  for (const std::string& text : texts) ranks.push_back(times_from_json_lines(text));
  size_t common = ranks.front().steps.size();
  for (RunTimes& rank : ranks) {
    common = std::min(common, rank.steps.size());
    run.hosts.push_back(rank.hosts.front());
    run.clocks.push_back(rank.clocks.front());
  }
  for (size_t i = 0; i < common; ++i) {
    for (size_t r = 0; r < ranks.size(); ++r) {
      run.steps.push_back(std::move(ranks[r].steps[i]));
      run.steps.back().rank = static_cast<int>(r);
    }
  }
  const double origin = run.steps.empty() ? 0 : run.steps.front().begin_us;
  change_times(run.steps, [origin](double us) {
    return std::round((us - origin) * 10) / 10;  // tenths of a microsecond will do
  });
  return run;
}

}  // namespace lockstep::timing
