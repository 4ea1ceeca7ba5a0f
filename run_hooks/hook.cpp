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

HookPtr make_hook(const Section& config, const std::string& usual_type, RunInfo& info) {
  const std::string type = config::type_in(config, usual_type, hooks(), info.scope);
  HookPtr hook = hooks().at(type)(config, info);
  hook->run = &info;
  hook->type = type;
  hook->priority = priority_of(config, hook->usual_priority());
  return hook;
}

namespace {

// mmengine/hooks/checkpoint_hook.py's words.
std::optional<bool> more_is_better(const std::string& metric) {
  std::string name = metric;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  for (const char* word :
       {"acc", "top", "ar@", "auc", "precision", "map", "mdice", "miou"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  if (name.find("loss") != std::string::npos) return false;
  return std::nullopt;
}

}  // namespace

Watched::Watched(const Section& config, const std::string& key,
                 const std::vector<std::string>& names)
    : name_(config.text(key, "")) {
  const std::string rule = config.word("rule", "", {"greater", "less"});
  if (!asked()) return;
  if (names.empty()) {
    config.fail(key,
                "nothing is validated; give val_dataloader, val_cfg and "
                "val_evaluator, or leave it out");
  }
  if (name_ == "auto") {
    name_ = names.front();
  } else {
    config.word(key, "", names);
  }
  const auto more = rule.empty() ? more_is_better(name_) : rule == "greater";
  if (!more) {
    config.fail(key, "whether more of '" + name_ +
                         "' is better cannot be told; give rule = \"greater\" or "
                         "\"less\"");
  }
  greater_ = *more;
}

bool Watched::better(double value, double other, double by) const {
  if (std::isnan(other)) return true;
  return greater_ ? value > other + by : value < other - by;
}

}  // namespace lockstep::run_hooks
