// Hooks: what happens beside training, by the configuration's words: one is told what
// the loop's meter tells its observers (training/observer.h), and of validations. After
// mmengine/hooks/hook.py.
//
// They are called in the order of their priorities, the small ones first, and on every
// rank, on the loop's thread; what is written or said is rank 0's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/section.h"
#include "launch/world.h"
#include "model/networks.h"
#include "registry/registry.h"
#include "training/observer.h"
#include "training/options.h"

namespace lockstep::run_hooks {

using Metrics = std::map<std::string, double>;

class Hook;
using HookPtr = std::shared_ptr<Hook>;

// MMEngine's names, "VERY_HIGH" 10, "NORMAL" 50, "LOWEST" 100, and any number between.
// The usual one where the hook's table has no `priority`.
int priority_of(const config::Section& config, int usual);

// What hooks know of the run, and of each other. Filled in by the runtime info and
// timer hooks for those after them.
struct RunInfo {
  World world;
  std::string work_dir;
  bool resume = false;
  bool writes = false;  // this rank leaves the files
  bool speaks = false;  // and says the lines, unless it is to be quiet
  std::string scope;    // in which names without one are looked for first
  bool by_epoch = true;
  int64_t max_epochs = 1;
  // The run's; a hook may change them when it is made, and in ready().
  training::TrainOptions options;
  std::vector<config::Section> schedulers;
  std::vector<std::string> metric_names;  // that validations give; none: there are none
  std::vector<HookPtr> hooks;             // in their order

  // Not there where their hooks are off, and before the first step.
  std::optional<double> lr;  // that the step under way takes
  std::optional<double> eta_s;
};

class Hook : public training::StepObserver {
 public:
  // The place in the order, unless the configuration gives another.
  virtual int usual_priority() const { return 50; }

  // Where the configuration was found good, before a rank meets another.
  virtual void ready() {}

  // After a validation: the same numbers on all ranks.
  virtual void validated(const Metrics& /*metrics*/) {}

  // What a resumed run needs of this hook; it stands in the checkpoints, under the
  // hook's type. Asked for on every rank where a checkpoint is due, after the hooks of
  // smaller priority have rested; given back in the checkpoint hook's planned().
  virtual std::string state() const { return ""; }
  virtual void set_state(const std::string& /*state*/) {}

  // Whoever makes the hook fills these in: what it is of, and as the configuration
  // calls it.
  const RunInfo* run = nullptr;
  std::string type;
  int priority = 50;
};

// The configuration's table of each, whose keys the factory reads. The RunInfo outlives
// the hook.
Registry<HookPtr(const config::Section&, RunInfo&)>& hooks();

// Throws config::Error, as everything that reads a configuration does.
HookPtr make_hook(const config::Section& config, const std::string& usual_type,
                  RunInfo& info);

// A metric that somebody watches: the one that stands at `key`, of "auto" the first of
// `names`, those that validations give. Whether more of it is better is told by `rule`
// ("greater", "less"), or by its name. Throws config::Error for any other.
class Watched {
 public:
  Watched(const config::Section& config, const std::string& key,
          const std::vector<std::string>& names);

  bool asked() const { return !name_.empty(); }
  double in(const Metrics& metrics) const { return metrics.at(name_); }
  // Whether `value` beats `other` by more than `by`.
  bool better(double value, double other, double by = 0) const;
  const std::string& name() const { return name_; }

 private:
  std::string name_;  // empty: nothing stands there
  bool greater_ = true;
};

}  // namespace lockstep::run_hooks
