// Hooks: what happens beside training, by the configuration's words: one is told what
// the loop's meter tells its observers (training/observer.h), and of validations. After
// mmengine/hooks/hook.py.
//
// They are called in the order of their priorities, the small ones first, and on every
// rank; what is written or said is rank 0's, RunInfo::speaks.
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
  bool speaks = false;  // this rank writes files and lines
  std::string scope;    // in which names without one are looked for first
  bool by_epoch = true;
  int64_t max_epochs = 1;
  // Of the whole run, told where it begins; a hook may change them when it is made.
  training::TrainOptions options;
  std::vector<config::Section> schedulers;
  std::vector<std::string> metric_names;  // that validations give; none: there are none
  std::vector<HookPtr> hooks;             // in their order

  int64_t max_steps = 0;
  double lr = 0;  // that the step under way takes
  training::StepEnd last;
  double eta_s = 0;
  Metrics metrics;  // of the last validation
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
  // hook's type.
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
                  RunInfo& info, const std::string& scope);

// Of these metrics `name`, "auto" the first; whether more of it is better is told by
// its name, where `rule` ("greater", "less") is empty. One place for all that watches.
class Watched {
 public:
  Watched(const config::Section& config, const std::string& key);

  bool asked() const { return !name_.empty(); }
  // Throws config::Error where it is none of `names`, or its rule cannot be told.
  void check(const std::vector<std::string>& names) const;
  // nullopt: there is no such metric among them.
  std::optional<double> in(const Metrics& metrics) const;
  // Whether `value` beats `other` by more than `by`.
  bool better(double value, double other, double by = 0) const;
  const std::string& name() const { return name_; }

 private:
  bool greater(const std::string& metric) const;

  config::Section config_;
  std::string key_;
  std::string name_;
  std::string rule_;
  mutable bool greater_ = true;
};

}  // namespace lockstep::run_hooks
