// What the bucketed reducer says of itself: the fields of PyTorch's DDPLoggingData, by
// their names and in their units, as c10d::Logger fills them for c10d's reducer
// (torch/csrc/distributed/c10d/logger.cpp); and, where a run asks for it, when each
// bucket was ready, launched and finished (timing/recorder.h).
//
// Sampled as there: of the first 10 steps that are reduced and of every 100th, known
// when the next one begins. Otherwise no clock is read. No errors are logged, which end
// a run here; and no times on CUDA.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "timing/recorder.h"
#include "training/observer.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::logging {

// The parameters of each bucket, as indices.
using BucketMembers = std::vector<std::vector<size_t>>;

class Logger {
 public:
  Logger(const std::vector<at::Tensor>& parameters, const comm::ProcessGroup& group,
         const TrainOptions& options, const BucketMembers& assignment);

  const training::DDPLoggingData& data() const { return data_; }
  // Null where nobody looks.
  const timing::Recorder* recorder() const { return recorder_.get(); }

  // Of the reducer, in the order of a step.
  void step_begins() {
    if (recorder_) recorder_->step_begins();
  }
  void reduced_pass_begins() {  // before its forward pass
    if (samples_) set_runtime_stats();
    count_pass();
  }
  void rebuilt(const BucketMembers& assignment);
  void backward_begins() {
    if (samples_) ready_order_.clear();
    launched_ = false;
    note(Event::backward_compute_start);
    if (recorder_) recorder_->backward_begins(bucket_bytes_);
  }
  void unused(const std::vector<size_t>& parameters);
  void gradient_came(size_t parameter) {
    if (samples_) ready_order_.push_back(parameter);
  }
  void ready(size_t bucket) {
    if (recorder_) recorder_->ready(bucket);
  }
  // Around what starts collectives of the bucket.
  void launches(size_t bucket, comm::ProcessGroup& group) {
    if (bucket == 0 && !launched_) note(Event::backward_comm_start);
    launched_ = true;
    if (recorder_) recorder_->launches(bucket, group);
  }
  void launched(comm::ProcessGroup& group) {
    if (recorder_) timing::Recorder::launched(group);
  }
  void backward_over() {
    note(Event::backward_compute_end);
    if (recorder_) recorder_->backward_over();
  }
  void reduced() {
    note(Event::backward_comm_end);
    if (recorder_) recorder_->reduced();
  }

 private:
  enum class Event : uint8_t {
    forward_start,
    backward_compute_start,
    backward_compute_end,
    backward_comm_start,
    backward_comm_end
  };

  void note(Event event) {
    if (samples_) note_now(event);
  }
  void note_now(Event event);
  void count_pass();
  void set_runtime_stats();
  void set_duration(const std::string& field, Event start, Event end);
  int64_t at(Event event) const { return events_[static_cast<size_t>(event)]; }

  std::vector<int64_t> bytes_;         // of each parameter
  std::vector<int64_t> bucket_bytes_;  // of each bucket
  bool on_cpu_;
  bool find_unused_;
  training::DDPLoggingData data_;
  std::unique_ptr<timing::Recorder> recorder_;

  bool samples_ = false;   // the pass under way
  bool launched_ = false;  // its first bucket
  int64_t passes_ = 0;     // that are reduced
  int64_t sampled_ = 0;
  std::array<int64_t, 5> events_{};  // nanoseconds since 1970
  std::vector<size_t> ready_order_;
  int64_t unused_bytes_ = 0;
  BucketMembers rebuilt_;  // and not said yet; else empty
};

// Tells the run's report what the logger knows, and gathers the buckets' times of all
// ranks for it.
std::shared_ptr<training::StepObserver> make_run_observer(
    std::shared_ptr<const Logger> logger, const TrainOptions& options,
    at::Device device);

}  // namespace lockstep::logging
