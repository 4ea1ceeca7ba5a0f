// The first steps of MMEngine's own Runner (mmengine_twin.py), in one process on the
// same model and data, are `train`'s: losses, and the learning rates of every
// scheduler.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/config.h"
#include "runner/runner.h"
#include "tests/equality/run.h"
#include "tests/program_run.h"
#include "tests/small_images.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<double>;
using equality::Words;

struct Case {
  std::string name;
  std::string twin;  // the twin's options, without --cfg; the last are its steps
  Json changes;      // its --cfg, and the same in our words
  std::vector<std::string> ours;
  double bar;  // of losses, relative
  int64_t accumulate = 1;
};

// As both write it.
std::string toml(const Json& value) {
  if (!value.is_structured()) return value.dump();
  std::string text;
  for (const auto& [key, one] : value.items()) {
    text +=
        (text.empty() ? "" : ", ") + (value.is_object() ? key + " = " : "") + toml(one);
  }
  return value.is_object() ? "{" + text + "}" : "[" + text + "]";
}

const std::string kMlp = "--model mlp --precision fp64 --steps 20";

Case optimizer(const Json& cfg) {
  return {cfg["type"],
          kMlp,
          {{"optimizer", cfg}},
          {"optim_wrapper.optimizer={_delete_=true," + toml(cfg).substr(1)},
          1e-10};
}

// Each scheduler by iterations.
Case schedules(const std::string& name, Json list) {
  for (Json& one : list) one["by_epoch"] = false;
  return {name,
          "--model mlp --precision fp64 --steps 40",
          {{"param_scheduler", list}},
          {"param_scheduler=" + toml(list)},
          1e-10};
}

std::vector<Case> cases() {
  const Json clip = {{"max_norm", 0.5}};
  const Json by_value = {{"type", "value"}, {"clip_value", 0.001}};
  const auto batch = [](int size) {
    return Json{{"train_dataloader.batch_size", size}};
  };
  return {
      // In fp32 rounding alone parts ResNet-18's runs after some steps, with one thread
      // and with two: see How equal is equal in the design.
      {"mlp, fp32",
       "--model mlp --steps 20",
       Json::object(),
       {"env_cfg.precision=fp32"},
       1e-4},
      {"convnet",
       "--model convnet --precision fp64 --steps 20",
       batch(8),
       {"model.type=convnet", "train_dataloader.batch_size=8"},
       1e-10},
      {"resnet18",
       "--model resnet18 --precision fp64 --steps 20",
       batch(2),
       {"model.type=resnet18", "train_dataloader.batch_size=2"},
       1e-10},
      {"clipped by norm, 4 batches a step",
       kMlp,
       {{"clip_grad", clip}, {"accumulative_counts", 4}},
       {"optim_wrapper.accumulative_counts=4", "optim_wrapper.clip_grad=" + toml(clip)},
       1e-10,
       4},
      {"clipped by value",
       kMlp,
       {{"clip_grad", by_value}},
       {"optim_wrapper.clip_grad=" + toml(by_value)},
       1e-10},
      {"bf16",
       "--model mlp --steps 20",
       {{"amp", "bf16"}},
       {"env_cfg.precision=fp32", "optim_wrapper.type=AmpOptimWrapper"},
       1e-3},
      optimizer({{"type", "SGD"},
                 {"lr", 0.01},
                 {"momentum", 0.9},
                 {"nesterov", true},
                 {"weight_decay", 0.001}}),
      optimizer({{"type", "Adam"}, {"lr", 0.001}, {"betas", {0.8, 0.99}}}),
      optimizer({{"type", "AdamW"}, {"lr", 0.001}, {"weight_decay", 0.1}}),
      optimizer({{"type", "RMSprop"}, {"lr", 0.001}, {"alpha", 0.9}}),
      schedules("linear, then multi-step",
                {{{"type", "LinearLR"}, {"start_factor", 0.1}, {"end", 10}},
                 {{"type", "MultiStepLR"},
                  {"milestones", {12, 20, 20, 31}},
                  {"gamma", 0.5}}}),
      schedules(
          "constant, step, exponential, poly",
          {{{"type", "ConstantLR"}, {"factor", 0.5}, {"end", 7}},
           {{"type", "StepLR"}, {"step_size", 4}, {"begin", 3}, {"end", 15}},
           {{"type", "ExponentialLR"}, {"gamma", 0.9}, {"begin", 12}, {"end", 30}},
           {{"type", "PolyLR"},
            {"power", 0.9},
            {"begin", 20},
            {"end", 38},
            {"eta_min", 0.00001}}}),
      schedules("warm-up, then cosine",
                {{{"type", "LinearLR"}, {"start_factor", 0.01}, {"end", 12}},
                 {{"type", "CosineAnnealingLR"},
                  {"begin", 12},
                  {"end", 38},
                  {"eta_min", 0.0001}}}),
      schedules(
          "cosine, and up again",
          {{{"type", "CosineAnnealingLR"}, {"T_max", 9}, {"eta_min_ratio", 0.1}}}),
  };
}

constexpr char kBase[] = R"(
model = { type = "mlp" }
env_cfg = { precision = "fp64", threads_per_card = 1, device = "cpu" }
train_dataloader = { batch_size = 32 }
optim_wrapper = { optimizer = { type = "SGD", lr = 0.001, momentum = 0.9 } }
default_hooks = { logger = { interval = 1 }, checkpoint = false }
)";

struct Seen {
  Numbers losses;
  Numbers rates;
};

Seen ours(const Case& one, const std::string& steps, const std::string& data_dir) {
  const TestFolder folder;
  write_text(folder / "base.toml", kBase);
  const config::Section config =
      config::load(folder / "base.toml",
                   std::vector<std::string>{
                       "work_dir=" + (folder / "work"),
                       "train_cfg={by_epoch=false,max_iters=" + steps + "}",
                       "train_dataloader.dataset={type='fashion-mnist',data_dir='" +
                           data_dir + "'}"} +
                       one.ours);
  auto run = runner::make_run(config, World(), /*distributed=*/false, "base",
                              /*quiet=*/true);
  Seen seen;
  runner::make_ready(config, run);
  seen.losses = run.way.train(run.info->options, World()).losses;
  for (const std::string& line : lines_of(read_text(folder / "work/scalars.jsonl"))) {
    seen.rates.push_back(Json::parse(line).at("lr"));
  }
  return seen;
}

Numbers means(const Numbers& of, int64_t each) {
  Numbers all;
  for (size_t i = 0; i + static_cast<size_t>(each) <= of.size();
       i += static_cast<size_t>(each)) {
    double sum = 0;
    for (size_t k = 0; k < static_cast<size_t>(each); ++k) sum += of[i + k];
    all.push_back(sum / static_cast<double>(each));
  }
  return all;
}

TEST(MMEngine, TheFirstStepsAreTheSame) {
  const SmallImages images(1600);
  const std::vector<Case> all = cases();
  Words command = {
      std::getenv("LOCKSTEP_PYTHON"),
      std::string(std::getenv("LOCKSTEP_SOURCE")) + "/tests/runner/mmengine_twin.py",
      "--each"};
  Words lines;
  for (const Case& one : all) {
    // Schedulers without an `end` go to the run's, which is ours.
    Json cfg = one.changes;
    const std::string steps = one.twin.substr(one.twin.rfind(' ') + 1);
    cfg["train_cfg"] = {
        {"by_epoch", false}, {"max_iters", std::stoi(steps)}, {"_delete_", true}};
    lines.push_back("--data-dir " + images.path() + " " + one.twin + " --cfg '" +
                    cfg.dump() + "'");
  }
  launch::Command python;
  python.argv = command + lines;
  python.out = python.err = launch::Output::kCapture;
  launch::Process process(python);
  ASSERT_EQ(process.wait().code, 0) << process.err();
  const Json theirs = Json::parse(process.out());

  for (size_t i = 0; i < all.size(); ++i) {
    const Case& one = all[i];
    const Seen run = ours(one, one.twin.substr(one.twin.rfind(' ') + 1), images.path());
    const Numbers losses = means(theirs.at(lines[i]).at("loss"), one.accumulate);
    ASSERT_FALSE(losses.empty()) << one.name;
    ASSERT_EQ(run.losses.size(), losses.size()) << one.name;
    const double apart = equality::apart(run.losses, losses, losses.size());
    EXPECT_LE(apart, one.bar) << one.name;
    const Numbers rates = theirs.at(lines[i]).at("lr");
    ASSERT_EQ(run.rates.size() * static_cast<size_t>(one.accumulate), rates.size())
        << one.name;
    double rates_apart = 0;
    for (size_t s = 0; s < run.rates.size(); ++s) {
      const double theirs_now = rates[s * static_cast<size_t>(one.accumulate)];
      rates_apart =
          std::max(rates_apart, std::abs(run.rates[s] - theirs_now) / theirs_now);
    }
    EXPECT_LE(rates_apart, 1e-12) << one.name;
    std::printf("%-34s losses %.1e of %.0e, rates %.1e\n", one.name.c_str(), apart,
                one.bar, rates_apart);
  }
}

}  // namespace
}  // namespace lockstep
