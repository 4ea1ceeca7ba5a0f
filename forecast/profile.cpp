#include "forecast/profile.h"

#include <algorithm>
#include <stdexcept>

#include "rows/row.h"

namespace lockstep::forecast {
namespace {

// Seconds.
double phase(const TrainReport& report, const char* name, int64_t warmup) {
  const std::vector<double>& ms = report.phases_ms.at(name);
  if (static_cast<int64_t>(ms.size()) < warmup + 2) {
    throw std::invalid_argument("a profile of " + std::to_string(ms.size()) +
                                " steps with a warm-up of " + std::to_string(warmup) +
                                "; take 2 more at least");
  }
  return rows::median({ms.begin() + warmup, ms.end() - 1}) / 1e3;
}

const training::MemoryTimeline& timeline_of(const TrainReport& report) {
  if (report.cards.empty() || !report.cards.front().timeline) {
    throw std::invalid_argument("a run without --memory-timeline is no profile");
  }
  return *report.cards.front().timeline;
}

}  // namespace

predict::CardStep step_of(const TrainReport& report, int64_t warmup) {
  predict::CardStep step;
  step.data_s = phase(report, "data", warmup);
  step.forward_s = phase(report, "forward", warmup);
  step.backward_s = phase(report, "backward", warmup);
  step.optimizer_s = phase(report, "optimizer", warmup);

  const training::MemoryTimeline& timeline = timeline_of(report);
  double begin_ms = -1, end_ms = 0;
  for (size_t i = 0; i < timeline.bytes.size(); ++i) {
    const std::string& stage =
        timeline.stages.at(static_cast<size_t>(timeline.stage[i]));
    if (stage != "backward") continue;
    if (begin_ms < 0) begin_ms = timeline.ms[i];
    const std::string& category =
        timeline.categories.at(static_cast<size_t>(timeline.category[i]));
    if (category != "gradients" || timeline.bytes[i] <= 0) continue;
    end_ms = timeline.ms[i];
    step.gradients.push_back(
        {end_ms - begin_ms, static_cast<double>(timeline.bytes[i])});
  }
  if (step.gradients.empty()) {
    throw std::invalid_argument("the recorded step made no gradients");
  }
  // The last gradient is the end of the pass.
  const double all_ms = end_ms - begin_ms;
  for (predict::Gradient& gradient : step.gradients) {
    gradient.ready_s = all_ms > 0 ? gradient.ready_s / all_ms * step.backward_s : 0;
  }
  return step;
}

TrainReport in_lockstep(const std::vector<TrainReport>& cards) {
  TrainReport job = cards.front();
  for (size_t step = 0; step < job.step_ms.size(); ++step) {
    const auto slowest = std::max_element(
        cards.begin(), cards.end(), [step](const TrainReport& a, const TrainReport& b) {
          return a.step_ms.at(step) < b.step_ms.at(step);
        });
    job.step_ms[step] = slowest->step_ms[step];
    for (auto& [phase, ms] : job.phases_ms)
      ms[step] = slowest->phases_ms.at(phase)[step];
  }
  return job;
}

predict::StepProfile memory_of(const TrainReport& report, int64_t batch) {
  const training::MemoryTimeline& timeline = timeline_of(report);
  predict::StepProfile profile{batch, {}};
  for (size_t i = 0; i < timeline.bytes.size(); ++i) {
    profile.events.push_back(
        {timeline.categories.at(static_cast<size_t>(timeline.category[i])),
         timeline.stages.at(static_cast<size_t>(timeline.stage[i])),
         timeline.bytes[i]});
  }
  return profile;
}

StepAtBatch::StepAtBatch(int64_t batch, predict::CardStep step, int64_t other_batch,
                         const predict::CardStep& other)
    : batch_(batch), step_(std::move(step)) {
  if (other_batch == batch) {
    throw std::invalid_argument("two profiles at batch " + std::to_string(batch) +
                                " tell nothing of another; take two batches");
  }
  const auto more = static_cast<double>(other_batch - batch);
  // Noise must not make a larger batch quicker.
  const auto slope = [more](double here, double there) {
    return std::max(0.0, (there - here) / more);
  };
  per_sample_.data_s = slope(step_.data_s, other.data_s);
  per_sample_.forward_s = slope(step_.forward_s, other.forward_s);
  per_sample_.backward_s = slope(step_.backward_s, other.backward_s);
}

predict::CardStep StepAtBatch::at(int64_t batch) const {
  const auto more = static_cast<double>(batch - batch_);
  predict::CardStep step = step_;
  step.data_s = std::max(0.0, step.data_s + more * per_sample_.data_s);
  step.forward_s = std::max(0.0, step.forward_s + more * per_sample_.forward_s);
  step.backward_s = std::max(0.0, step.backward_s + more * per_sample_.backward_s);
  for (predict::Gradient& gradient : step.gradients) {
    gradient.ready_s *= step_.backward_s > 0 ? step.backward_s / step_.backward_s : 1;
  }
  return step;
}

}  // namespace lockstep::forecast
