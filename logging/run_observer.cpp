// What a run with buckets leaves beside its losses: the reducer's DDPLoggingData, and
// where it is asked for the file of --bucket-times.
#include "host/this_host.h"
#include "logging/logger.h"
#include "timing/gathered.h"

namespace lockstep::logging {
namespace {

// Machines that are emulated on one have its name, and an address each.
std::string this_host() {
  const std::vector<std::string> addresses = host::outside_addresses();
  return host::short_name() + (addresses.empty() ? "" : " " + addresses.front());
}

class RunObserver final : public training::StepObserver {
 public:
  RunObserver(std::shared_ptr<const Logger> logger, const TrainOptions& options,
              at::Device device)
      : logger_(std::move(logger)), device_(device) {
    run_ = {{"model", options.model},
            {"dataset", options.dataset},
            {"batch_size", std::to_string(options.batch_size)},
            {"reducer", options.ddp.reducer},
            {"overlap", options.ddp.overlap ? "yes" : "no"},
            {"comm_hook", options.ddp.comm_hook}};
  }

  // The clocks are read when nobody trains: before the first step and after the last.
  void communicates(comm::ProcessGroup& group) override {
    if (logger_->recorder() == nullptr) return;
    group_ = &group;
    run_["backend"] = group.backend_name();
    before_ = timing::read_clocks(group, device_);
  }
  void finished(const torch::nn::Module& /*model*/) override {
    if (group_ == nullptr) return;
    const timing::AlignedClock clock(before_, timing::read_clocks(*group_, device_));
    timing::RunTimes run;
    run.run = run_;
    run.strs = logger_->data().strs_map;
    run.ints = logger_->data().ints_map;
    run = timing::gathered(*group_, std::move(run), this_host(), clock,
                           logger_->recorder()->steps());
    if (group_->rank() == 0) bucket_times_ = timing::to_json_lines(run);
  }
  void reported(TrainReport& job) override {
    job.ddp_logging_data = logger_->data();
    job.bucket_times = std::move(bucket_times_);
  }

 private:
  std::shared_ptr<const Logger> logger_;
  at::Device device_;
  std::map<std::string, std::string> run_;
  comm::ProcessGroup* group_ = nullptr;
  timing::ClockReading before_;
  std::string bucket_times_;
};

}  // namespace

std::shared_ptr<training::StepObserver> make_run_observer(
    std::shared_ptr<const Logger> logger, const TrainOptions& options,
    at::Device device) {
  return std::make_shared<RunObserver>(std::move(logger), options, device);
}

}  // namespace lockstep::logging
