#include "run_hooks/default_hooks.h"

#include <torch/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "config/type_in.h"
#include "schedules/schedulers.h"

namespace lockstep::run_hooks {
namespace {

using config::Section;
using training::StepEnd;

double lr_of(torch::optim::Optimizer& optimizer) {
  return optimizer.param_groups().front().options().get_lr();
}

class RuntimeInfoHook final : public Hook {
 public:
  explicit RuntimeInfoHook(RunInfo& info) : info_(info) {}
  int usual_priority() const override { return 10; }

  void built(const Network& /*model*/, torch::optim::Optimizer& optimizer) override {
    optimizer_ = &optimizer;
  }
  void before_batch(int64_t /*step*/, int64_t /*batch*/) override {
    info_.lr = lr_of(*optimizer_);
  }

 private:
  RunInfo& info_;
  torch::optim::Optimizer* optimizer_ = nullptr;
};

class IterTimerHook final : public Hook {
 public:
  explicit IterTimerHook(RunInfo& info) : info_(info) {}

  void planned(int64_t steps) override { max_steps_ = steps; }
  void after_step(const StepEnd& end) override {
    if (std::isnan(end.step_ms)) return;  // still on the card
    spent_ms_ += end.step_ms;
    ++steps_;
    const auto left = static_cast<double>(max_steps_ - end.step - 1);
    info_.eta_s = spent_ms_ / static_cast<double>(steps_) * left / 1000;
  }

 private:
  RunInfo& info_;
  int64_t max_steps_ = 0;
  double spent_ms_ = 0;
  int64_t steps_ = 0;
};

class SamplerSeedHook final : public Hook {};

class ParamSchedulerHook final : public Hook {
 public:
  ParamSchedulerHook(RunInfo& info) : info_(info) {
    for (const Section& config : info.schedulers) {
      schedulers_.push_back(schedules::schedulers().at(
          config::type_in(config, "", schedules::schedulers(), info.scope))(config));
    }
  }
  int usual_priority() const override { return 70; }

  void built(const Network& /*model*/, torch::optim::Optimizer& optimizer) override {
    optimizer_ = &optimizer;
  }
  void planned(int64_t steps) override {
    const double base = info_.options.lr;
    for (const schedules::SchedulerPtr& scheduler : schedulers_) {
      scheduler->start(base, info_.max_epochs, steps * info_.options.accumulate);
      step(*scheduler);
    }
  }
  void after_batch(int64_t /*step*/, int64_t /*batch*/) override { step_all(false); }
  void rests(int64_t /*steps*/, int64_t /*epochs*/, bool epoch_ended) override {
    if (epoch_ended) step_all(true);
  }

  std::string state() const override {
    nlohmann::json state = {{"lr", lr_of(*optimizer_)}, {"steps", {}}};
    for (const schedules::SchedulerPtr& scheduler : schedulers_) {
      state["steps"].push_back({scheduler->steps, scheduler->own_steps});
    }
    return state.dump();
  }
  void set_state(const std::string& text) override {
    const auto state = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!state.is_object() ||
        state.value("steps", nlohmann::json()).size() != schedulers_.size()) {
      throw std::invalid_argument(
          "the checkpoint was made with another param_scheduler; resume with the same");
    }
    set_lr(state["lr"]);
    for (size_t i = 0; i < schedulers_.size(); ++i) {
      schedulers_[i]->steps = state["steps"][i][0];
      schedulers_[i]->own_steps = state["steps"][i][1];
    }
  }

 private:
  void set_lr(double lr) {
    for (auto& group : optimizer_->param_groups()) group.options().set_lr(lr);
  }
  void step(schedules::Scheduler& scheduler) {
    set_lr(scheduler.step(lr_of(*optimizer_)));
  }
  void step_all(bool by_epoch) {
    for (const schedules::SchedulerPtr& scheduler : schedulers_) {
      if (scheduler->by_epoch() == by_epoch) step(*scheduler);
    }
  }

  RunInfo& info_;
  std::vector<schedules::SchedulerPtr> schedulers_;
  torch::optim::Optimizer* optimizer_ = nullptr;
};

}  // namespace

HookPtr make_runtime_info_hook(const Section& /*config*/, RunInfo& info) {
  return std::make_shared<RuntimeInfoHook>(info);
}

HookPtr make_iter_timer_hook(const Section& /*config*/, RunInfo& info) {
  return std::make_shared<IterTimerHook>(info);
}

// The loops tell the sampler the epoch themselves: what is left is whether it listens.
HookPtr make_sampler_seed_hook(const Section& /*config*/, RunInfo& info) {
  if (info.options.order == data::Order::first) info.options.order = data::Order::anew;
  return std::make_shared<SamplerSeedHook>();
}

HookPtr make_param_scheduler_hook(const Section& /*config*/, RunInfo& info) {
  return std::make_shared<ParamSchedulerHook>(info);
}

}  // namespace lockstep::run_hooks
