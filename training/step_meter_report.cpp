// How a rank's measurements become the job's.
#include <sys/resource.h>

#include "training/step_meter.h"

namespace lockstep::training {
namespace {

int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

TrainReport StepMeter::report(const Network& model, const Accuracy& accuracy) {
  report_.correct = accuracy.correct;
  report_.evaluated = accuracy.evaluated;
  report_.rss_peak_bytes = peak_rss_bytes();
  for (const auto& observer : options_.observers) observer->finished(*model);
  TrainReport job = report_;
  if (group_ != nullptr) {
    std::vector<TrainReport> ranks;
    for (const std::string& text : group_->all_gather(to_json(report_))) {
      ranks.push_back(report_from_json(text));
    }
    job = merge(ranks);
  }
  for (const auto& observer : options_.observers) observer->reported(job);
  return job;
}

}  // namespace lockstep::training
