#include "runner/runner.h"

#include <algorithm>
#include <limits>

#include "checkpoint/load_from.h"
#include "config/type_in.h"
#include "files/output_file.h"
#include "runner/keys.h"
#include "runner/read_options.h"
#include "runner/validation.h"
#include "schedules/schedulers.h"
#include "training/catalog.h"

namespace lockstep::runner {

using config::Section;
using run_hooks::HookPtr;
using run_hooks::RunInfo;
using training::TrainOptions;
namespace {

constexpr int64_t kForEver = std::numeric_limits<int64_t>::max();
constexpr int64_t kMost = 1'000'000'000;

void read_train_cfg(const Section& config, RunInfo& info) {
  TrainOptions& options = info.options;
  info.by_epoch = config.boolean("by_epoch", true);
  const std::string other = info.by_epoch ? "max_iters" : "max_epochs";
  const std::vector<std::string> keys = config.keys();
  if (std::count(keys.begin(), keys.end(), other) > 0) {
    const std::string counts = info.by_epoch ? "max_epochs" : "max_iters";
    config.fail(other, "by_epoch is " + std::string(info.by_epoch ? "true" : "false") +
                           ", and " + counts + " counts; leave this out, over a base " +
                           "by _delete_ = true");
  }
  if (info.by_epoch) {
    options.epochs = info.max_epochs = config.required_integer("max_epochs", 1, kMost);
    return;
  }
  const int64_t iterations = config.required_integer("max_iters", 1, kMost);
  if (iterations % options.accumulate != 0) {
    config.fail("max_iters",
                std::to_string(iterations) +
                    " is no whole number of steps of accumulative_counts " +
                    std::to_string(options.accumulate) + " iterations");
  }
  options.steps = iterations / options.accumulate;
  options.epochs = kForEver;
}

std::optional<ValidationPlan> read_validation(const Section& config,
                                              const Section& train_cfg, RunInfo& info) {
  ValidationPlan plan;
  plan.begin = train_cfg.integer("val_begin", 1, 1, kMost);
  plan.interval = train_cfg.integer("val_interval", info.by_epoch ? 1 : 1000, 1, kMost);
  int parts = 0;
  bool off = false;  // `val_cfg = false`, over a base that validates
  for (const char* part : {"val_dataloader", "val_cfg", "val_evaluator"}) {
    parts += config.has(part) ? 1 : 0;
    off |= config.is_false(part);
  }
  if (parts == 0 || off) return std::nullopt;
  if (parts < 3) {
    const char* there = config.has("val_cfg")         ? "val_cfg"
                        : config.has("val_evaluator") ? "val_evaluator"
                                                      : "val_dataloader";
    config.fail(there,
                "val_dataloader, val_cfg and val_evaluator go together; give all "
                "of them or none");
  }
  config.section("val_cfg").word("type", "ValLoop", {"ValLoop"});
  plan.options = info.options;
  read_dataset(config.section("val_dataloader"), info.scope, plan.options);
  plan.batch_size = plan.options.batch_size;
  for (const Section& metric : config.sections("val_evaluator")) {
    plan.metrics.push_back(metrics::metrics().at(
        config::type_in(metric, "", metrics::metrics(), info.scope))(metric));
    // Of no samples: what they are called.
    metrics::Metric& one = *plan.metrics.back();
    for (const auto& [name, value] : one.values(one.take_sums())) {
      info.metric_names.push_back(name);
    }
  }
  if (plan.metrics.empty()) {
    config.fail("val_evaluator", "needs a metric, as { type = \"Accuracy\" }");
  }
  check_data(config.section("val_dataloader"), info.options.dataset, plan.options);
  return plan;
}

void read_hooks(const Section& config, RunInfo& info) {
  const Section usual = config.section("default_hooks");
  std::vector<std::pair<const char*, const char*>> six = {
      {"runtime_info", "RuntimeInfoHook"},       {"timer", "IterTimerHook"},
      {"sampler_seed", "DistSamplerSeedHook"},   {"logger", "LoggerHook"},
      {"param_scheduler", "ParamSchedulerHook"}, {"checkpoint", "CheckpointHook"}};
  for (const auto& [key, type] : six) {
    if (usual.is_false(key)) {
      if (type != std::string("ParamSchedulerHook") || info.schedulers.empty())
        continue;
      usual.fail(key,
                 "is false, and param_scheduler needs the hook; leave one of them "
                 "out");
    }
    info.hooks.push_back(run_hooks::make_hook(usual.section(key), type, info));
  }
  for (const Section& custom : config.sections("custom_hooks")) {
    info.hooks.push_back(run_hooks::make_hook(custom, "", info));
  }
  std::stable_sort(
      info.hooks.begin(), info.hooks.end(),
      [](const HookPtr& a, const HookPtr& b) { return a->priority < b->priority; });
}

Way read_wrapper(const Section& config, bool distributed, RunInfo& info) {
  TrainOptions& options = info.options;
  const Section wrapper = config.section("model_wrapper_cfg");
  options.ddp.find_unused_parameters = config.boolean("find_unused_parameters", false);
  if (config.has("sync_bn")) {
    config.word("sync_bn", "torch", {"torch"});
    options.ddp.sync_batch_norm = distributed;
  }
  const std::string type = config::type_in(wrapper, "MMDistributedDataParallel",
                                           model_wrappers(), info.scope);
  Way way;
  in_keys(config, [&] { way = model_wrappers().at(type)(wrapper, options); });
  const bool one_process = !program::has_ranks(way.ranks);
  if (distributed && one_process) {
    wrapper.fail("type", type +
                             " is of one process and all its cards; leave --launcher "
                             "out, or try MMDistributedDataParallel");
  }
  return distributed || one_process ? way : unwrapped();
}

}  // namespace

Run make_run(const Section& config, const World& world, bool distributed,
             const std::string& name, bool quiet) {
  const auto info = std::make_shared<RunInfo>();
  TrainOptions& options = info->options;
  info->world = world;
  info->writes = world.rank == 0;
  info->speaks = info->writes && !quiet;
  std::vector<std::string> names = training::models().names();
  for (const auto& more : {training::datasets().names(), training::samplers().names(),
                           training::optimizers().names(),
                           schedules::schedulers().names(), metrics::metrics().names(),
                           run_hooks::hooks().names(), model_wrappers().names()}) {
    names.insert(names.end(), more.begin(), more.end());
  }
  info->scope = config.word("default_scope", "lockstep", scopes_of(names));
  info->work_dir = config.text("work_dir", "work_dirs/" + name);
  info->resume = config.boolean("resume", false);
  options.gpus = world.local_world_size;
  options.own_device = world.own_device;
  const Section randomness = config.section("randomness");
  options.seed = static_cast<uint64_t>(randomness.integer("seed", 0, 0, kForEver));
  options.deterministic = randomness.boolean("deterministic", false);

  read_environment(config.section("env_cfg"), options);
  read_model(config.section("model"), info->scope, options);
  const Section loader = config.section("train_dataloader");
  read_loader(loader, info->scope, options);
  if (world.world_size > 1 && options.sampler != "distributed" &&
      !options.sampler.empty() && options.sampler.find('.') == std::string::npos) {
    loader.section("sampler").fail(
        "type", options.sampler +
                    " gives each of several ranks all samples; leave it "
                    "out, or try DefaultSampler");
  }
  // Other models take images of any size.
  const std::string usual = training::usual_dataset(options.model);
  check_data(loader, usual == "fashion-mnist" ? options.dataset : usual, options);
  read_optimizer(config.section("optim_wrapper"), info->scope, options);
  info->schedulers = config.sections("param_scheduler");
  const Section train_cfg = config.section("train_cfg");
  read_train_cfg(train_cfg, *info);
  auto validation = read_validation(config, train_cfg, *info);
  const Way way = read_wrapper(config, distributed, *info);
  if (validation && way.ranks == program::Ranks::horovod) {
    config.fail("val_cfg",
                "Horovod's engine alone may use the group while it runs; "
                "leave validation out, or take another model wrapper");
  }
  read_hooks(config, *info);
  const auto checkpoints =
      std::count_if(info->hooks.begin(), info->hooks.end(),
                    [](const HookPtr& hook) { return hook->type == "CheckpointHook"; });
  if (info->resume && checkpoints == 0) {
    config.fail("resume",
                "is the checkpoint hook's, and default_hooks.checkpoint is "
                "false; leave one of them out");
  }
  if (checkpoints > 1) {
    config.fail("custom_hooks",
                "has a CheckpointHook, and default_hooks.checkpoint is "
                "one; leave one of them out");
  }
  const std::string load_from = config.text("load_from", "");
  if (!load_from.empty() && info->resume) {
    config.fail("load_from", "resume takes work_dir's; leave one of them out");
  }
  std::shared_ptr<training::StepObserver> loads;
  if (!load_from.empty()) {
    config.checked("load_from", [&] { loads = checkpoint::make_load_from(load_from); });
  }
  if (world.rank == 0) {
    config.checked("work_dir", [&] { files::check_folder(info->work_dir); });
  }
  if (config.section("model").keys().size() > 1) {
    // Made once, so that it has read what it takes.
    training::models().at(options.model)(training::inputs_of(options));
  }
  config.finish();
  in_keys(config, [&] {
    program::CommandLine line;
    line.options = options;
    program::check_run({"train", "", way.ranks}, line, world);
  });
  if (loads) options.observers.push_back(loads);
  if (validation) {
    options.observers.push_back(
        std::make_shared<Validation>(std::move(*validation), *info));
  }
  for (const HookPtr& hook : info->hooks) options.observers.push_back(hook);
  return {way, info};
}

void make_ready(const Section& config, Run& run) {
  in_keys(config, [&] {
    for (const HookPtr& hook : run.info->hooks) hook->ready();
  });
}

}  // namespace lockstep::runner
