#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "run_hooks/default_hooks.h"

namespace lockstep::run_hooks {
namespace {

using config::Section;

// After mmengine/hooks/early_stopping_hook.py.
class EarlyStoppingHook final : public Hook {
 public:
  EarlyStoppingHook(const Section& config, RunInfo& info)
      : info_(info),
        watched_(config, "monitor", info.metric_names),
        min_delta_(config.number("min_delta", 0.1, 0, 1e38)),
        check_finite_(config.boolean("check_finite", true)),
        patience_(config.integer("patience", 5, 1, 1'000'000'000)) {
    if (!watched_.asked()) config.fail("monitor", "needs a metric, as \"accuracy\"");
    if (config.has("stopping_threshold")) {
      threshold_ = config.required_number("stopping_threshold", -1e38, 1e38);
    }
  }
  int usual_priority() const override { return 100; }

  void validated(const Metrics& metrics) override {
    const double value = watched_.in(metrics);
    if (check_finite_ && !std::isfinite(value)) return stop(value, "is not finite");
    if (threshold_ && watched_.better(value, *threshold_)) {
      return stop(value, "is beyond stopping_threshold");
    }
    if (std::isnan(best_) || !watched_.better(best_, value, -min_delta_)) {
      best_ = value;
      waited_ = 0;
    } else if (++waited_ >= patience_) {
      stop(value,
           "has not become better for " + std::to_string(waited_) + " validations");
    }
  }

  bool wants_end() override { return ended_; }

  std::string state() const override {
    return std::isnan(best_) ? "" : nlohmann::json({best_, waited_}).dump();
  }
  void set_state(const std::string& text) override {
    const auto state = nlohmann::json::parse(text);
    best_ = state.at(0);
    waited_ = state.at(1);
  }

 private:
  void stop(double value, const std::string& why) {
    ended_ = true;
    if (!info_.speaks) return;
    std::fprintf(stderr, "early stop: %s, %g, %s\n", watched_.name().c_str(), value,
                 why.c_str());
  }

  RunInfo& info_;
  Watched watched_;
  double min_delta_;
  bool check_finite_;
  int64_t patience_;
  std::optional<double> threshold_;
  double best_ = std::nan("");
  int64_t waited_ = 0;
  bool ended_ = false;
};

}  // namespace

HookPtr make_early_stopping_hook(const Section& config, RunInfo& info) {
  return std::make_shared<EarlyStoppingHook>(config, info);
}

}  // namespace lockstep::run_hooks
