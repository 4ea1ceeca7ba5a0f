#include "runner/runner.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <limits>

#include "checkpoint/load_from.h"
#include "data/data_folder.h"
#include "files/output_file.h"
#include "program/keys.h"
#include "runner/type_in.h"
#include "runner/validation.h"
#include "schedules/schedulers.h"
#include "training/catalog.h"

namespace lockstep::runner {

using config::Section;
using training::TrainOptions;
namespace {

constexpr int64_t kForEver = std::numeric_limits<int64_t>::max();
constexpr int64_t kMost = 1'000'000'000;
constexpr double kMostRate = 1e38;  // that an fp32 parameter can be multiplied by

void read_environment(const Section& config, TrainOptions& options) {
  options.device = config.word("device", options.device, {"auto", "cpu", "cuda"});
  options.precision = config.word("precision", options.precision, {"fp32", "fp64"});
  options.threads_per_card =
      static_cast<int>(config.integer("threads_per_card", 0, 0, 1024));
  const Section dist = config.section("dist_cfg");
  std::vector<std::string> backends = training::process_groups().names();
  backends.emplace_back("auto");
  options.backend = dist.word("backend", options.backend, backends);
  options.timeout_s = dist.integer("timeout", options.timeout_s, 1, 1'000'000);
}

void read_model(const Section& config, const std::string& scope,
                TrainOptions& options) {
  options.model = type_in(config, "", training::models(), scope);
  options.dataset = training::usual_dataset(options.model);
  if (training::takes_tokens(options.model, options.dataset)) {
    options.vocab_size = config.integer("vocab_size", options.vocab_size, 2, 1'000'000);
  }
  options.model_arguments = config;
}

// `like`: a data set whose samples the model takes.
void check_data(const Section& loader, const std::string& like,
                const TrainOptions& options) {
  const std::string here = training::samples_of(options.dataset);
  const std::string taken = training::samples_of(like);
  if (!here.empty() && !taken.empty() && here != taken) {
    loader.section("dataset").fail("type", options.dataset + " has " + here +
                                               ", and the model takes " + taken +
                                               "; try " + like);
  }
  loader.section("dataset").checked("data_dir", [&] {
    program::in_keys(loader,
                     [&] { data::check_files(options.dataset, options.data_dir); });
  });
}

void read_dataset(const Section& loader, const std::string& scope,
                  TrainOptions& options) {
  options.batch_size = loader.integer("batch_size", options.batch_size, 1, kMost);
  const Section dataset = loader.section("dataset");
  options.dataset = type_in(dataset, options.dataset, training::datasets(), scope);
  options.data_dir = dataset.text("data_dir", options.data_dir);
}

void read_loader(const Section& config, const std::string& scope,
                 TrainOptions& options) {
  read_dataset(config, scope, options);
  options.num_workers = static_cast<int>(config.integer("num_workers", 0, 0, 64));
  options.pin_memory = config.boolean("pin_memory", false);
  options.drop_last = config.boolean("drop_last", false);
  const Section sampler = config.section("sampler");
  auto samplers = training::samplers();
  samplers.add("DefaultSampler", {});  // each loop's own
  const std::string type = type_in(sampler, "DefaultSampler", samplers, scope);
  if (type != "DefaultSampler") options.sampler = type;
  // What the sampler seed hook makes of it is another matter.
  const bool shuffle = sampler.boolean("shuffle", true);
  options.order = shuffle ? data::Order::first : data::Order::as_stored;
}

void read_clip(const Section& config, training::Clip& clip) {
  const std::string type = config.word("type", "norm", {"norm", "value"});
  if (type == "value") {
    clip.value = config.required_number("clip_value", 1e-30, kMostRate);
    return;
  }
  clip.norm = config.required_number("max_norm", 1e-30, kMostRate);
  clip.norm_type = config.number("norm_type", 2, 1e-3, 1e3);
}

void read_optimizer(const Section& config, const std::string& scope,
                    TrainOptions& options) {
  const std::string wrapper =
      config.word("type", "OptimWrapper", {"OptimWrapper", "AmpOptimWrapper"});
  if (wrapper == "AmpOptimWrapper") {
    config.word("dtype", "bfloat16", {"bfloat16"});
    if (options.precision != "fp32") {
      config.fail("type", "computes partly in bfloat16, and env_cfg.precision is " +
                              options.precision + "; leave one of them out");
    }
    options.precision = "bf16";
  }
  options.accumulate = config.integer("accumulative_counts", 1, 1, 1'000'000);
  if (config.has("clip_grad")) read_clip(config.section("clip_grad"), options.clip);
  const Section optimizer = config.section("optimizer");
  options.optimizer = type_in(optimizer, "", training::optimizers(), scope);
  options.lr = optimizer.required_number("lr", 0, kMostRate);
  options.momentum = optimizer.number("momentum", 0, 0, kMostRate);
  options.weight_decay = optimizer.number("weight_decay", 0, 0, kMostRate);
  options.optimizer_arguments = optimizer;
  // Tried, so that it has read what it takes.
  training::optimizers().at(options.optimizer)({at::zeros({1})}, options);
}

void read_train_cfg(const Section& config, RunInfo& info) {
  TrainOptions& options = info.options;
  info.by_epoch = config.boolean("by_epoch", true);
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
  for (const char* part : {"val_dataloader", "val_cfg", "val_evaluator"}) {
    parts += config.has(part) ? 1 : 0;
  }
  if (parts == 0) return std::nullopt;
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
        type_in(metric, "", metrics::metrics(), info.scope))(metric));
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
    info.hooks.push_back(make_hook(usual.section(key), type, info, info.scope));
  }
  for (const Section& custom : config.sections("custom_hooks")) {
    info.hooks.push_back(make_hook(custom, "", info, info.scope));
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
  const std::string type =
      type_in(wrapper, "MMDistributedDataParallel", model_wrappers(), info.scope);
  Way way;
  program::in_keys(config, [&] { way = model_wrappers().at(type)(wrapper, options); });
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
             const std::string& name, bool speaks) {
  const auto info = std::make_shared<RunInfo>();
  TrainOptions& options = info->options;
  info->world = world;
  info->speaks = speaks;
  std::vector<std::string> names = training::models().names();
  for (const auto& more :
       {training::datasets().names(), training::samplers().names(),
        training::optimizers().names(), schedules::schedulers().names(),
        metrics::metrics().names(), hooks().names(), model_wrappers().names()}) {
    names.insert(names.end(), more.begin(), more.end());
  }
  info->scope = config.word("default_scope", "lockstep", scopes_of(names));
  info->work_dir = config.text("work_dir", "work_dirs/" + name);
  info->resume = config.boolean("resume", false);
  options.gpus = world.local_world_size;
  options.own_device = world.own_device;
  options.seed = static_cast<uint64_t>(
      config.section("randomness").integer("seed", 0, 0, kForEver));

  read_environment(config.section("env_cfg"), options);
  read_model(config.section("model"), info->scope, options);
  const Section loader = config.section("train_dataloader");
  read_loader(loader, info->scope, options);
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
  program::in_keys(config, [&] {
    program::CommandLine line;
    line.options = options;
    program::check_run({"train", "", way.ranks}, line, world);
  });
  Run run = {way, options, info};
  if (loads) run.options.observers.push_back(loads);
  if (validation) {
    run.options.observers.push_back(
        std::make_shared<Validation>(std::move(*validation), *info));
  }
  for (const HookPtr& hook : info->hooks) run.options.observers.push_back(hook);
  return run;
}

void make_ready(Run& run) {
  for (const HookPtr& hook : run.info->hooks) hook->ready();
  run.options.start = run.info->options.start;
}

}  // namespace lockstep::runner
