// The Runner: a configuration made into a run of one of the loops. After
// mmengine/runner/runner.py, whose keys it takes: model, work_dir, train_dataloader,
// optim_wrapper, param_scheduler, train_cfg, val_dataloader, val_cfg, val_evaluator,
// default_hooks, custom_hooks, load_from, resume, model_wrapper_cfg, randomness,
// find_unused_parameters, sync_bn, env_cfg, default_scope, custom_imports; launcher is
// main.cpp's.
//
// It has no loop and no training step: it fills in the options that the loops take,
// adds what watches them, and names the loop. Nothing of the configuration says how
// many cards there are: that is the launcher's business.
#pragma once

#include <memory>
#include <string>

#include "config/section.h"
#include "launch/world.h"
#include "run_hooks/hook.h"
#include "runner/model_wrappers.h"

namespace lockstep::runner {

struct Run {
  Way way;
  std::shared_ptr<run_hooks::RunInfo> info;  // the run's options, and the hooks' own
};

// As what `world` says is this process's part of it; `distributed`: a launcher started
// it, and even one rank is wrapped. `name` is the configuration's, for a work_dir that
// it does not give. Reads every key, and throws config::Error for the first that
// cannot be; makes no file.
Run make_run(const config::Section& config, const World& world, bool distributed,
             const std::string& name, bool quiet);

// Before it trains: makes the folders, and finds where a resumed run begins. Throws
// config::Error for another run's folder, std::runtime_error for one that cannot be
// written.
void make_ready(const config::Section& config, Run& run);

}  // namespace lockstep::runner
