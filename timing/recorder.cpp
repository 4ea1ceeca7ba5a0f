#include "timing/recorder.h"

#include <algorithm>

#include "timing/clock_offset.h"

namespace lockstep::timing {

void Recorder::step_begins() {
  step_ = {};
  step_.begin_us = steady_us();
}

void Recorder::backward_begins(const std::vector<int64_t>& bytes) {
  step_.buckets.clear();
  for (const int64_t of_bucket : bytes) step_.buckets.push_back({.bytes = of_bucket});
  ends_ = std::make_shared<std::vector<std::atomic<double>>>(bytes.size());
  step_.backward_us = steady_us();
}

void Recorder::ready(size_t bucket) { step_.buckets[bucket].ready_us = steady_us(); }

void Recorder::launches(size_t bucket, comm::ProcessGroup& group) {
  double& launch = step_.buckets[bucket].launch_us;
  if (launch == 0) launch = steady_us();
  group.tell_ends([ends = ends_, bucket] { (*ends)[bucket] = steady_us(); });
}

void Recorder::backward_over() { step_.backward_end_us = steady_us(); }

void Recorder::reduced() {
  step_.reduced_us = steady_us();
  for (size_t b = 0; b < step_.buckets.size(); ++b) {
    const double told = (*ends_)[b];
    // Some ends nobody tells: it was over when the wait was.
    step_.buckets[b].finish_us = told == 0 ? step_.reduced_us : told;
  }
  step_.step = next_step_++;
  step_.rank = rank_;
  steps_.push_back(std::move(step_));
  step_ = {};
}

}  // namespace lockstep::timing
