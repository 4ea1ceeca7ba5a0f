#include "runner/read_options.h"

#include <ATen/Functions.h>

#include "config/type_in.h"
#include "data/data_folder.h"
#include "runner/keys.h"
#include "training/catalog.h"

namespace lockstep::runner {

using config::Section;
using training::TrainOptions;
namespace {

constexpr int64_t kMost = 1'000'000'000;
constexpr double kMostRate = 1e38;  // that an fp32 parameter can be multiplied by

void read_clip(const Section& config, training::Clip& clip) {
  const std::string type = config.word("type", "norm", {"norm", "value"});
  if (type == "value") {
    clip.value = config.required_number("clip_value", 1e-30, kMostRate);
    return;
  }
  clip.norm = config.required_number("max_norm", 1e-30, kMostRate);
  clip.norm_type = config.number("norm_type", 2, 1e-3, 1e3);
}

}  // namespace

void read_environment(const Section& config, TrainOptions& options) {
  options.device = config.word("device", options.device, {"auto", "cpu", "cuda"});
  options.precision =
      config.word("precision", options.precision, {"fp32", "fp64", "tf32"});
  options.cudnn_benchmark = config.boolean("cudnn_benchmark", false);
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
  options.model = config::type_in(config, "", training::models(), scope);
  options.dataset = training::usual_dataset(options.model);
  if (training::takes_tokens(options.model, options.dataset)) {
    options.vocab_size = config.integer("vocab_size", options.vocab_size, 2, 1'000'000);
  }
  options.model_arguments = config;
}

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
    in_keys(loader, [&] { data::check_files(options.dataset, options.data_dir); });
  });
}

void read_dataset(const Section& loader, const std::string& scope,
                  TrainOptions& options) {
  options.batch_size = loader.integer("batch_size", options.batch_size, 1, kMost);
  const Section dataset = loader.section("dataset");
  options.dataset =
      config::type_in(dataset, options.dataset, training::datasets(), scope);
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
  const std::string type = config::type_in(sampler, "DefaultSampler", samplers, scope);
  if (type != "DefaultSampler") options.sampler = type;
  // What the sampler seed hook makes of it is another matter.
  const bool shuffle = sampler.boolean("shuffle", true);
  options.order = shuffle ? data::Order::first : data::Order::as_stored;
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
  options.optimizer = config::type_in(optimizer, "", training::optimizers(), scope);
  options.lr = optimizer.required_number("lr", 0, kMostRate);
  options.momentum = optimizer.number("momentum", 0, 0, kMostRate);
  options.weight_decay = optimizer.number(
      "weight_decay", options.optimizer == "AdamW" ? 0.01 : 0, 0, kMostRate);
  options.optimizer_arguments = optimizer;
  // Tried, so that it has read what it takes.
  training::optimizers().at(options.optimizer)({at::zeros({1})}, options);
}
}  // namespace lockstep::runner
