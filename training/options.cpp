#include "training/options.h"

#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace lockstep::training {
namespace {

void require(bool holds, const std::string& option, const std::string& value,
             const std::string& way_out) {
  if (!holds) throw std::invalid_argument(option + " " + value + ": " + way_out);
}

// "0.01" and "-1e-09" rather than std::to_string's "0.010000" and "-0.000000".
std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

void require_not_negative(const std::string& option, double value) {
  require(std::isfinite(value) && value >= 0, option, shown(value),
          "must be a number of 0 or more");
}

// LibTorch says of more than an fp32 parameter can be multiplied by that it "cannot be
// converted", in the middle of a step.
void require_rate(const std::string& option, double value) {
  require_not_negative(option, value);
  require(value <= 1e38, option, shown(value), "must be at most 1e+38");
}

void require_at_least(int64_t least, const std::string& option, int64_t value) {
  require(value >= least, option, std::to_string(value),
          "must be " + std::to_string(least) + " or more");
}

}  // namespace

const std::vector<std::string>& DataParallelOptions::reduce_words() {
  static const std::vector<std::string> words = {"auto", "serial", "tree", "nccl"};
  return words;
}

const std::vector<std::string>& DataParallelOptions::replicate_words() {
  static const std::vector<std::string> words = {"cached", "every-step"};
  return words;
}

const std::vector<std::string>& DataParallelOptions::loss_words() {
  static const std::vector<std::string> words = {"primary", "replica"};
  return words;
}

const std::vector<std::string>& TrainOptions::precision_words() {
  static const std::vector<std::string> words = {"fp32", "fp64", "tf32", "bf16"};
  return words;
}

bool rounds(const std::string& precision) {
  return precision == "tf32" || precision == "bf16";
}

std::string usual_dataset(const std::string& model) {
  if (model == "transformer" || model == "transformer-tied") return "tokens";
  return model == "linear" ? "features100" : "fashion-mnist";
}

std::string samples_of(const std::string& dataset) {
  if (dataset == "features100") return "100 features";
  if (dataset == "tokens") return dataset;
  if (dataset == "cifar10") return "images of 3 x 32 x 32";
  const bool ours =
      dataset == "fashion-mnist" || dataset == "mnist" || dataset == "synthetic";
  return ours ? "images of 28 x 28" : "";
}

bool takes_tokens(const std::string& model, const std::string& dataset) {
  return dataset == "tokens" || usual_dataset(model) == "tokens";
}

bool has_batch_norm(const std::string& model) {
  return model == "convnet" || model == "resnet18" || model == "resnet50";
}

void validate(const TrainOptions& options) {
  // Far more than anybody wants, and far from overflowing.
  constexpr int64_t kMost = 1000000;
  require_at_least(1, "--epochs", options.epochs);
  require_at_least(1, "--steps", options.steps);
  // The bound keeps products of it far from overflow.
  require(options.batch_size >= 1 && options.batch_size <= 1'000'000'000,
          "--batch-size", std::to_string(options.batch_size),
          "must be 1 to 1000000000");
  require(options.vocab_size >= 2 && options.vocab_size <= kMost, "--vocab-size",
          std::to_string(options.vocab_size), "must be 2 to " + std::to_string(kMost));
  require_rate("--lr", options.lr);
  require_rate("--momentum", options.momentum);
  require_rate("--weight-decay", options.weight_decay);
  require(options.gpus >= 1 && options.gpus <= 64, "--gpus",
          std::to_string(options.gpus), "must be a number of cards from 1 to 64");
  require(options.threads_per_card >= 0 && options.threads_per_card <= 1024,
          "--threads-per-card", std::to_string(options.threads_per_card),
          "must be 0 (cores / cards) to 1024");
  require(options.ranks_per_gpu >= 1 && options.ranks_per_gpu <= 16, "--ranks-per-gpu",
          std::to_string(options.ranks_per_gpu), "must be 1 to 16");
  require(options.num_workers >= 0 && options.num_workers <= 64, "--num-workers",
          std::to_string(options.num_workers), "must be 0 to 64");
  require(options.timeout_s >= 1 && options.timeout_s <= kMost, "--timeout",
          std::to_string(options.timeout_s),
          "must be 1 to " + std::to_string(kMost) + " seconds");
  require_not_negative("--card-memory", options.card_memory_gib);
  require(options.card_memory_gib <= static_cast<double>(kMost), "--card-memory",
          shown(options.card_memory_gib), "must be at most " + std::to_string(kMost));
  require_at_least(1, "--accumulate", options.accumulate);
  require(options.accumulate <= kMost, "--accumulate",
          std::to_string(options.accumulate),
          "must be at most " + std::to_string(kMost));
  const double share = options.data_parallel.primary_share;
  require(share > 0 && share <= 1, "--primary-share", shown(share),
          "must be more than 0 and at most 1, an equal share");
  require_not_negative("--bucket-cap-mb", options.ddp.bucket_cap_mb);
  require(options.ddp.bucket_cap_mb <= static_cast<double>(kMost), "--bucket-cap-mb",
          shown(options.ddp.bucket_cap_mb), "must be at most " + std::to_string(kMost));
  require_at_least(1, "--powersgd-rank", options.ddp.powersgd_rank);
  require_at_least(0, "--powersgd-start", options.ddp.powersgd_start);
  require(options.ddp.local_sgd >= 0 && options.ddp.local_sgd <= kMost, "--local-sgd",
          std::to_string(options.ddp.local_sgd),
          "must be 1 to " + std::to_string(kMost) + " steps between two meetings");
  require_rate("--outer-lr", options.ddp.outer_lr);
  require_rate("--outer-momentum", options.ddp.outer_momentum);
}

}  // namespace lockstep::training
