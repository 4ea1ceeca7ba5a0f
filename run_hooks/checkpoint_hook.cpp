#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "checkpoint/run_checkpoint.h"
#include "config/node.h"
#include "run_hooks/default_hooks.h"

namespace lockstep::run_hooks {
namespace {

using checkpoint::RunCheckpoint;
using config::Section;

class CheckpointHook final : public Hook {
 public:
  CheckpointHook(const Section& config, RunInfo& info)
      : info_(info), best_of_(config, "save_best", info.metric_names) {
    constexpr int64_t kMost = 1'000'000'000;
    const bool by_epoch = config.boolean("by_epoch", info.by_epoch);
    // By iterations 1 would be a checkpoint a step: then there is one, at the end.
    const int64_t interval = config.integer("interval", by_epoch ? 1 : -1, -1, kMost);
    (by_epoch ? options_.every_epochs : options_.every) =
        std::max<int64_t>(0, interval);
    const int64_t keep = config.integer("max_keep_ckpts", -1, -1, kMost);
    if (keep == 0) config.fail("max_keep_ckpts", "0 must be 1 or more, or -1: all");
    options_.keep = keep < 0 ? std::numeric_limits<int64_t>::max() : keep;
    save_last_ = config.boolean("save_last", true);
    options_.folder = info.work_dir + "/checkpoints";
    options_.option = "--work-dir";  // which the Runner's errors call by its key
    options_.resume = info.resume;
  }
  int usual_priority() const override { return 90; }

  // Makes the folder.
  void ready() override {
    const training::TrainOptions& run = info_.options;
    const checkpoint::Metadata agree = {
        {"model.type", run.model},
        {"train_dataloader.dataset.type", run.dataset},
        {"env_cfg.precision", run.precision},
        {"optim_wrapper.optimizer.type", run.optimizer},
        {"optim_wrapper.optimizer.lr", config::shown(run.lr)},
        {"optim_wrapper.optimizer.momentum", config::shown(run.momentum)},
        {"randomness.seed", std::to_string(run.seed)}};
    kept_.emplace(options_, agree, info_.world.rank, info_.world.world_size);
    info_.options.start = kept_->start();
  }

  void built(const Network& model, torch::optim::Optimizer& optimizer) override {
    kept_->built(model, optimizer);
  }
  void planned(int64_t steps) override {
    kept_->planned(steps);
    for (const auto& [name, hook] : named_hooks()) {
      const auto found = kept_->notes().find(name);
      if (found != kept_->notes().end()) hook->set_state(found->second);
    }
  }
  void stands(int64_t steps, int64_t epoch, int64_t samples) override {
    if (options_.every > 0 && steps % options_.every == 0) note();
    kept_->stands(steps, epoch, samples);
  }
  void rests(int64_t steps, int64_t epochs, bool epoch_ended) override {
    if (epoch_ended || best_is_now_) note();
    kept_->rests(steps, epochs, epoch_ended);
    if (std::exchange(best_is_now_, false)) kept_->save_best();
  }
  void validated(const Metrics& metrics) override {
    if (!best_of_.asked()) return;
    const double value = best_of_.in(metrics);
    if (!best_of_.better(value, best_)) return;
    best_ = value;
    best_is_now_ = true;
  }
  void finished(const torch::nn::Module& model) override {
    if (!save_last_) return;
    note();
    kept_->finished(model);
  }

  std::string state() const override {
    return std::isnan(best_) ? "" : nlohmann::json(best_).dump();
  }
  void set_state(const std::string& state) override { best_ = std::stod(state); }

 private:
  // The second of a type is "EarlyStoppingHook 2".
  std::map<std::string, HookPtr> named_hooks() const {
    std::map<std::string, int> of_type;
    std::map<std::string, HookPtr> named;
    for (const HookPtr& hook : info_.hooks) {
      const int number = ++of_type[hook->type];
      named[number == 1 ? hook->type : hook->type + " " + std::to_string(number)] =
          hook;
    }
    return named;
  }
  void note() {
    for (const auto& [name, hook] : named_hooks()) {
      const std::string state = hook->state();
      if (!state.empty()) kept_->notes()[name] = state;
    }
  }

  RunInfo& info_;
  Watched best_of_;
  checkpoint::CheckpointOptions options_;
  bool save_last_ = true;
  std::optional<RunCheckpoint> kept_;
  double best_ = std::nan("");
  bool best_is_now_ = false;
};

}  // namespace

HookPtr make_checkpoint_hook(const Section& config, RunInfo& info) {
  return std::make_shared<CheckpointHook>(config, info);
}

}  // namespace lockstep::run_hooks
