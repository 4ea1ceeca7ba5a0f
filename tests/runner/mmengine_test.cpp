// The first steps of MMEngine's own Runner (mmengine_twin.py), in one process on the
// same model and data, are `train`'s: losses, and the learning rates of every
// scheduler.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/equality/run.h"
#include "tests/program_run.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<double>;
using equality::Words;

struct Case {
  std::string name;
  std::string twin;  // options of the twin, without --cfg
  Json changes;      // its --cfg; ours are the same, in our words
  std::string ours;  // TOML
  double bar;        // of losses, relative
  int64_t accumulate = 1;
};

// Of `key`, as both write it.
std::string toml(const Json& value) {
  if (value.is_object()) {
    std::string text = "{";
    for (const auto& [key, one] : value.items()) {
      text += (text.size() > 1 ? ", " : "") + key + " = " + toml(one);
    }
    return text + "}";
  }
  if (value.is_array()) {
    std::string text = "[";
    for (const Json& one : value) text += (text.size() > 1 ? ", " : "") + toml(one);
    return text + "]";
  }
  return value.dump();
}

Case schedules(const std::string& name, const Json& schedulers) {
  return {name,
          "--model mlp --precision fp64 --dataset synthetic --steps 40",
          {{"param_scheduler", schedulers}},
          "param_scheduler = " + toml(schedulers) + "\n",
          1e-10};
}

std::vector<Case> cases() {
  const std::string mlp = "--model mlp --precision fp64 --dataset synthetic --steps 20";
  const auto optimizer = [&](const Json& cfg) {
    return Case{cfg["type"],
                mlp,
                {{"optimizer", cfg}},
                "[optim_wrapper]\noptimizer = " + toml(cfg) + "\n",
                1e-10};
  };
  const Json clip = {{"max_norm", 0.5}};
  const Json by_value = {{"type", "value"}, {"clip_value", 0.001}};
  const auto iterations = [](Json scheduler) {
    scheduler["by_epoch"] = false;
    return scheduler;
  };
  return {
      // In fp32 rounding alone parts ResNet-18's runs after some steps, with one thread
      // and with two: see How equal is equal in the design.
      {"mlp, fp32", "--model mlp --dataset synthetic --steps 20", Json::object(),
       "env_cfg = { precision = \"fp32\" }\n", 1e-4},
      {"convnet",
       "--model convnet --dataset synthetic --precision fp64 --steps 20",
       {{"train_dataloader.batch_size", 8}},
       "model = { type = \"convnet\" }\ntrain_dataloader = { batch_size = 8 }\n",
       1e-10},
      {"resnet18",
       "--model resnet18 --dataset synthetic --precision fp64 --steps 20",
       {{"train_dataloader.batch_size", 4}},
       "model = { type = \"resnet18\" }\ntrain_dataloader = { batch_size = 4 }\n",
       1e-10},
      {"clipped by norm, 4 batches a step",
       mlp,
       {{"clip_grad", clip}, {"accumulative_counts", 4}},
       "[optim_wrapper]\naccumulative_counts = 4\nclip_grad = " + toml(clip) + "\n",
       1e-10,
       4},
      {"clipped by value",
       mlp,
       {{"clip_grad", by_value}},
       "[optim_wrapper]\nclip_grad = " + toml(by_value) + "\n",
       1e-10},
      {"bf16",
       "--model mlp --dataset synthetic --steps 20",
       {{"amp", "bf16"}},
       "env_cfg = { precision = \"fp32\" }\n[optim_wrapper]\ntype = "
       "\"AmpOptimWrapper\"\n",
       2e-3},
      optimizer({{"type", "SGD"},
                 {"lr", 0.01},
                 {"momentum", 0.9},
                 {"nesterov", true},
                 {"weight_decay", 0.001}}),
      optimizer({{"type", "Adam"}, {"lr", 0.001}, {"betas", {0.8, 0.99}}}),
      optimizer({{"type", "AdamW"}, {"lr", 0.001}, {"weight_decay", 0.1}}),
      optimizer({{"type", "RMSprop"}, {"lr", 0.001}, {"alpha", 0.9}}),
      schedules("constant",
                iterations({{"type", "ConstantLR"}, {"factor", 0.5}, {"end", 7}})),
      schedules("linear, then multi-step",
                {iterations({{"type", "LinearLR"}, {"start_factor", 0.1}, {"end", 10}}),
                 iterations({{"type", "MultiStepLR"},
                             {"milestones", {12, 20, 20, 31}},
                             {"gamma", 0.5}})}),
      schedules("step",
                iterations({{"type", "StepLR"}, {"step_size", 6}, {"begin", 3}})),
      schedules(
          "exponential",
          iterations(
              {{"type", "ExponentialLR"}, {"gamma", 0.9}, {"begin", 2}, {"end", 30}})),
      schedules(
          "warm-up, then cosine",
          {iterations({{"type", "LinearLR"}, {"start_factor", 0.01}, {"end", 12}}),
           iterations({{"type", "CosineAnnealingLR"},
                       {"begin", 12},
                       {"end", 38},
                       {"eta_min", 0.0001}})}),
      schedules("cosine and up again", iterations({{"type", "CosineAnnealingLR"},
                                                   {"T_max", 9},
                                                   {"eta_min_ratio", 0.1}})),
      schedules("poly", iterations({{"type", "PolyLR"},
                                    {"power", 0.9},
                                    {"begin", 5},
                                    {"end", 35},
                                    {"eta_min", 0.00001}})),
  };
}

struct Run {
  Numbers losses;
  Numbers rates;
};

Run ours(const Case& one, const std::string& steps) {
  const TestFolder folder;
  write_text(
      folder / "base.toml",
      "model = { type = \"mlp\" }\n"
      "work_dir = \"" +
          (folder / "work") +
          "\"\n"
          "train_cfg = { by_epoch = false, max_iters = " +
          steps +
          " }\n"
          "env_cfg = { precision = \"fp64\", threads_per_card = 1, device = \"cpu\" }\n"
          "[train_dataloader]\nbatch_size = 32\ndataset = { type = \"synthetic\" }\n"
          "[optim_wrapper]\n"
          "optimizer = { type = \"SGD\", lr = 0.001, momentum = 0.9 }\n"
          "[default_hooks]\nlogger = { type = \"LoggerHook\", interval = 1 }\n");
  const std::string file = folder / "case.toml";
  // An optimizer takes the place of the base's, as the twin has it.
  std::string text = one.ours;
  const size_t at = text.find("optimizer = {");
  if (at != std::string::npos) text.insert(at + 13, "_delete_ = true, ");
  write_text(file, "_base_ = \"base.toml\"\n" + text);
  Run run;
  run.losses = equality::losses({program_path("train"), file});
  for (const std::string& line : lines_of(read_text(folder / "work/scalars.jsonl"))) {
    run.rates.push_back(Json::parse(line).at("lr"));
  }
  return run;
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
  std::vector<Case> all = cases();
  Words command = {
      std::getenv("LOCKSTEP_PYTHON"),
      std::string(std::getenv("LOCKSTEP_SOURCE")) + "/tests/runner/mmengine_twin.py",
      "--each"};
  std::vector<std::string> lines;
  for (const Case& one : all) {
    // Schedulers without an `end` go to the run's, which is ours.
    Json cfg = one.changes;
    const std::string steps = one.twin.substr(one.twin.rfind(' ') + 1);
    cfg["train_cfg"] = {
        {"by_epoch", false}, {"max_iters", std::stoi(steps)}, {"_delete_", true}};
    lines.push_back(one.twin + " --cfg '" + cfg.dump() + "'");
  }
  command.insert(command.end(), lines.begin(), lines.end());
  launch::Command python;
  python.argv = command;
  python.out = python.err = launch::Output::kCapture;
  launch::Process process(python);
  ASSERT_EQ(process.wait().code, 0) << process.err();
  const Json theirs = Json::parse(process.out());

  for (size_t i = 0; i < all.size(); ++i) {
    const Case& one = all[i];
    const auto run = ours(one, one.twin.substr(one.twin.rfind(' ') + 1));
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
