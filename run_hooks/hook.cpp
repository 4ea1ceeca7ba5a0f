#include "run_hooks/hook.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "config/type_in.h"
#include "run_hooks/default_hooks.h"

namespace lockstep::run_hooks {

using config::Section;
namespace {

const std::map<std::string, int>& priorities() {
  static const std::map<std::string, int> named = {
      {"HIGHEST", 0}, {"VERY_HIGH", 10},    {"HIGH", 30},
      {"NORMAL", 50}, {"ABOVE_NORMAL", 40}, {"BELOW_NORMAL", 60},
      {"LOW", 70},    {"VERY_LOW", 90},     {"LOWEST", 100}};
  return named;
}

}  // namespace

int priority_of(const Section& config, int usual) {
  if (!config.has("priority")) return usual;
  if (!config.is_text("priority")) {
    return static_cast<int>(config.integer("priority", usual, 0, 100));
  }
  std::vector<std::string> names;
  for (const auto& [name, number] : priorities()) names.push_back(name);
  return priorities().at(config.word("priority", "NORMAL", names));
}

Registry<HookPtr(const Section&, RunInfo&)>& hooks() {
  static Registry<HookPtr(const Section&, RunInfo&)> known(
      "hook", {{"RuntimeInfoHook", &make_runtime_info_hook},
               {"IterTimerHook", &make_iter_timer_hook},
               {"DistSamplerSeedHook", &make_sampler_seed_hook},
               {"LoggerHook", &make_logger_hook},
               {"ParamSchedulerHook", &make_param_scheduler_hook},
               {"CheckpointHook", &make_checkpoint_hook},
               {"EarlyStoppingHook", &make_early_stopping_hook}});
  return known;
}

HookPtr make_hook(const Section& config, const std::string& usual_type, RunInfo& info,
                  const std::string& scope) {
  const std::string type = config::type_in(config, usual_type, hooks(), scope);
  HookPtr hook = hooks().at(type)(config, info);
  hook->run = &info;
  hook->type = type;
  hook->priority = priority_of(config, hook->usual_priority());
  return hook;
}

Watched::Watched(const Section& config, const std::string& key)
    : config_(config),
      key_(key),
      name_(config.text(key, "")),
      rule_(config.word("rule", "", {"greater", "less"})) {}

// mmengine/hooks/checkpoint_hook.py's words.
bool Watched::greater(const std::string& metric) const {
  if (!rule_.empty()) return rule_ == "greater";
  std::string name = metric;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  for (const char* word :
       {"acc", "top", "ar@", "auc", "precision", "map", "mdice", "miou"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  if (name.find("loss") != std::string::npos) return false;
  config_.fail(key_, "whether more of '" + metric +
                         "' is better cannot be told; give rule = \"greater\" or "
                         "\"less\"");
}

void Watched::check(const std::vector<std::string>& names) const {
  if (names.empty()) {
    config_.fail(key_,
                 "nothing is validated; give val_dataloader, val_cfg and "
                 "val_evaluator, or leave it out");
  }
  if (name_ != "auto") config_.word(key_, "", names);
  greater(name_ == "auto" ? names.front() : name_);
}

std::optional<double> Watched::in(const Metrics& metrics) const {
  if (metrics.empty()) return std::nullopt;
  const auto found = name_ == "auto" ? metrics.begin() : metrics.find(name_);
  if (found == metrics.end()) return std::nullopt;
  greater_ = greater(found->first);
  return found->second;
}

bool Watched::better(double value, double other, double by) const {
  if (std::isnan(other)) return true;
  return greater_ ? value > other + by : value < other - by;
}

}  // namespace lockstep::run_hooks
