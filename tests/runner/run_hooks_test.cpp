// What the default hooks and the early stop do to a run, in one process.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "config/config.h"
#include "runner/runner.h"
#include "tests/error_of.h"
#include "tests/idx_folder.h"

namespace lockstep::runner {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Numbers = std::vector<double>;

constexpr char kBase[] = R"(
model = { type = "mlp" }
train_dataloader = { batch_size = 32 }
val_dataloader = { batch_size = 16 }
val_cfg = {}
val_evaluator = [{ type = "Loss" }, { type = "Accuracy", topk = [1, 5] }]
train_cfg = { by_epoch = true, max_epochs = 4 }
optim_wrapper = { optimizer = { type = "SGD", lr = 0.1, momentum = 0.9 } }
)";
constexpr int64_t kStepsOfEpoch = kTrainImages / 32;

class RunHooksTest : public testing::Test {
 protected:
  RunHooksTest() {
    // Classes that can be told apart, and not at once.
    std::string images = idx_images(kTrainImages), labels = idx_labels(kTrainImages);
    for (size_t i = 0; i < kTrainImages; ++i) {
      labels[labels.size() - kTrainImages + i] = static_cast<char>(i % 10);
      for (size_t p = 0; p < 64; ++p) {
        images[16 + i * 784 + (i % 10) * 64 + p] =
            static_cast<char>(200 + (i * p) % 50);
      }
    }
    data_.write("train-images-idx3-ubyte", images);
    data_.write("train-labels-idx1-ubyte", labels);
    write_text(folder_ / "base.toml", kBase);
  }

  training::TrainReport train(std::vector<std::string> changes) {
    for (const char* loader : {"train_dataloader", "val_dataloader"}) {
      changes.push_back(loader + std::string(".dataset.data_dir=") + data_.path);
    }
    const config::Section config = config::load(
        folder_ / "base.toml",
        std::vector<std::string>{"work_dir=" + (folder_ / "work")} + changes);
    auto run = make_run(config, World(), /*distributed=*/false, "base", /*quiet=*/true);
    make_ready(config, run);
    return run.way.train(run.info->options, World());
  }

  std::vector<Json> scalars(const std::string& work = "work") const {
    std::vector<Json> rows;
    for (const std::string& line :
         lines_of(read_text(folder_ / work + "/scalars.jsonl"))) {
      rows.push_back(Json::parse(line));
    }
    return rows;
  }
  std::vector<std::string> checkpoints(
      const std::string& folder = "work/checkpoints") const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / folder)) {
      const std::string name = entry.path().filename();
      if (name.rfind("step-", 0) == 0) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  IdxFolder data_;
  TestFolder folder_;
};

TEST_F(RunHooksTest, LogsEveryIntervalAndEveryValidation) {
  train({"default_hooks.logger.interval=3"});
  std::vector<int64_t> trained, validated;
  for (const Json& row : scalars()) {
    if (row.contains("val/loss")) {
      validated.push_back(row["step"]);
      EXPECT_TRUE(row.contains("val/accuracy") && row.contains("val/accuracy_top5"));
    } else {
      trained.push_back(row["step"]);
      EXPECT_DOUBLE_EQ(row["lr"], 0.1);
      EXPECT_GT(row["time"], row["data_time"]);
    }
  }
  EXPECT_EQ(trained, (std::vector<int64_t>{3, 6, 11, 14, 19, 22, 27, 30}));
  EXPECT_EQ(validated, (std::vector<int64_t>{8, 16, 24, 32}));
}

TEST_F(RunHooksTest, AnEpochShorterThanTheIntervalHasALine) {
  train({"default_hooks.logger.interval=100", "default_hooks.runtime_info=false"});
  std::vector<int64_t> steps;
  for (const Json& row : scalars()) {
    if (row.contains("loss")) steps.push_back(row["step"]);
    EXPECT_FALSE(row.contains("lr")) << "told by nobody: " << row;
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{8, 16, 24, 32}));
}

// Whoever keeps no checkpoints does not write into another run's folder either, and
// cannot go on.
TEST_F(RunHooksTest, WithoutCheckpointsScalarsAreTheRuns) {
  train({"default_hooks.checkpoint=false"});
  const std::string scalars = read_text(folder_ / "work/scalars.jsonl");
  EXPECT_THROW(train({"default_hooks.checkpoint=false"}), std::invalid_argument);
  EXPECT_THROW(train({"default_hooks.checkpoint=false", "resume=true"}),
               std::invalid_argument);
  EXPECT_EQ(read_text(folder_ / "work/scalars.jsonl"), scalars);
}

TEST_F(RunHooksTest, ARunGoesOnWithTheRateItHad) {
  train({"train_cfg.max_epochs=1"});
  EXPECT_THROW(train({"resume=true", "optim_wrapper.optimizer.lr=0.5"}),
               std::invalid_argument);
  EXPECT_THROW(train({"resume=true", "param_scheduler={type='StepLR',step_size=1}"}),
               std::invalid_argument);
  EXPECT_EQ(train({"resume=true"}).first_step, kStepsOfEpoch);
}

TEST_F(RunHooksTest, ByIterationsValidatesAndEndsInsideAnEpoch) {
  const auto report =
      train({"train_cfg={by_epoch=false,max_iters=11,val_begin=4,val_interval=3,"
             "_delete_=true}",
             "default_hooks.checkpoint={type='CheckpointHook',interval=5}",
             "default_hooks.logger=false"});
  EXPECT_EQ(report.losses.size(), 11U);
  EXPECT_EQ(checkpoints(), (std::vector<std::string>{"step-00000005", "step-00000010",
                                                     "step-00000011"}));
  EXPECT_FALSE(fs::exists(folder_ / "work/scalars.jsonl"));
}

TEST_F(RunHooksTest, ByIterationsOneCheckpointIsKeptUnlessMoreAreWanted) {
  const auto report =
      train({"train_cfg={by_epoch=false,max_iters=11,_delete_=true}", "val_cfg=false"});
  EXPECT_EQ(report.losses.size(), 11U);
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"step-00000011"});
  for (const Json& row : scalars()) EXPECT_FALSE(row.contains("val/loss")) << row;
}

// Each of two hooks of one type has its own state after a resumption.
TEST_F(RunHooksTest, HooksOfOneTypeKeepTheirOwnStates) {
  const std::string hooks =
      "custom_hooks=[{type='EarlyStoppingHook',monitor='loss',patience=9},"
      "{type='EarlyStoppingHook',monitor='accuracy',min_delta=1000,patience=3}]";
  // The second has waited twice after three epochs, so the fourth is the last of six.
  train({hooks, "train_cfg.max_epochs=3"});
  const auto rest = train({hooks, "train_cfg.max_epochs=6", "resume=true"});
  EXPECT_EQ(rest.first_step, 3 * kStepsOfEpoch);
  EXPECT_EQ(std::ssize(rest.losses), kStepsOfEpoch);
}

TEST_F(RunHooksTest, KeepsTheLastCheckpointsAndTheBest) {
  train({"default_hooks.checkpoint={max_keep_ckpts=2,save_best='loss'}",
         // After the second epoch the rate blows the model up, so the best is not the
         // last.
         "param_scheduler={type='MultiStepLR',milestones=[2],gamma=1000}"});
  Numbers losses;
  for (const Json& row : scalars()) {
    if (row.contains("val/loss")) losses.push_back(row["val/loss"]);
  }
  ASSERT_EQ(losses.size(), 4U);
  const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin();
  ASSERT_LT(best, 3) << "the run is no test: its last loss is its best";
  EXPECT_EQ(checkpoints(),
            (std::vector<std::string>{"step-00000024", "step-00000032"}));
  EXPECT_EQ(checkpoints("work/checkpoints/best"),
            std::vector<std::string>{"step-000000" + std::string(best == 0 ? "0" : "") +
                                     std::to_string(kStepsOfEpoch * (best + 1))});
}

// Of every optimizer, with a schedule half way through: the steps after the resumption
// are those of the run that was not interrupted, to the bit.
TEST_F(RunHooksTest, ResumesWhereItWas) {
  const std::string schedule =
      "param_scheduler=[{type='LinearLR',by_epoch=false,end=12,start_factor=0.1},"
      "{type='CosineAnnealingLR',begin=1}]";
  for (const std::string type : {"SGD", "Adam", "AdamW", "RMSprop"}) {
    const std::string optimizer =
        "optim_wrapper.optimizer={_delete_=true,type='" + type + "',lr=0.01}";
    const auto run = [&](const std::string& work, const std::string& more) {
      std::vector<std::string> changes = {
          schedule, optimizer, "work_dir=" + (folder_ / type + work),
          // Both schedules go to the end of four epochs.
          "default_hooks.checkpoint.by_epoch=false",
          "default_hooks.checkpoint.interval=13"};
      if (!more.empty()) changes.push_back(more);
      return train(changes);
    };
    const Numbers whole = run("whole", "").losses;
    ASSERT_EQ(whole.size(), 4U * kStepsOfEpoch);
    run("parts", "");
    // As if it had been killed after the first of them.
    const fs::path parts = folder_ / type + "parts/checkpoints";
    fs::remove_all(parts / "step-00000026");
    fs::remove_all(parts / "step-00000032");
    fs::remove(parts / "latest");
    const auto rest = run("parts", "resume=true");
    EXPECT_EQ(rest.first_step, 13) << type;
    EXPECT_EQ(rest.losses, Numbers(whole.begin() + 13, whole.end())) << type;
  }
}

TEST_F(RunHooksTest, AnotherRunsWorkDirIsLeftAlone) {
  train({"train_cfg.max_epochs=1"});
  const std::string error = error_of([&] { train({}); });
  EXPECT_NE(error.find("add resume = true"), std::string::npos) << error;
}

TEST_F(RunHooksTest, LoadsFromACheckpointsFolder) {
  train({"train_cfg.max_epochs=1"});
  const std::string made = folder_ / "work/checkpoints";
  for (const std::string& path :
       {made, made + "/step-00000008", made + "/step-00000008/model.safetensors"}) {
    const std::string work = folder_ / "from" + std::to_string(path.size());
    train({"load_from=" + path, "work_dir=" + work, "optim_wrapper.optimizer.lr=0",
           "optim_wrapper.optimizer.momentum=0", "train_cfg.max_epochs=1"});
    EXPECT_EQ(read_text(work + "/checkpoints/step-00000008/model.safetensors"),
              read_text(made + "/step-00000008/model.safetensors"))
        << path;
  }
}

// With a rate of 0 losses tell the samples apart, and nothing else.
TEST_F(RunHooksTest, TheSamplerSeedHookGivesEachEpochItsOrder) {
  const auto epochs = [&](const std::vector<std::string>& more) {
    const Numbers losses =
        train(std::vector<std::string>{
                  "optim_wrapper.optimizer.lr=0", "train_cfg.max_epochs=2",
                  "default_hooks.checkpoint=false", "default_hooks.logger=false"} +
              more)
            .losses;
    const auto middle = losses.begin() + kStepsOfEpoch;
    return std::pair{Numbers(losses.begin(), middle), Numbers(middle, losses.end())};
  };
  const auto with = epochs({});
  EXPECT_NE(with.first, with.second);
  const auto without = epochs({"default_hooks.sampler_seed=false"});
  EXPECT_EQ(without.first, without.second);
  EXPECT_EQ(without.first, with.first);
  const auto stored = epochs({"train_dataloader.sampler.shuffle=false"});
  EXPECT_EQ(stored.first, stored.second);
  EXPECT_NE(stored.first, with.first);
}

TEST_F(RunHooksTest, StopsEarly) {
  const auto steps = [&](const std::string& hook) {
    return std::ssize(
        train({"custom_hooks=[{type='EarlyStoppingHook'," + hook + "}]",
               "default_hooks.checkpoint=false", "default_hooks.logger=false"})
            .losses);
  };
  // The first value is the best so far; after it nothing is better by so much.
  EXPECT_EQ(steps("monitor='loss',min_delta=1000,patience=2"), 3 * kStepsOfEpoch);
  EXPECT_EQ(steps("monitor='accuracy',min_delta=1000,patience=1"), 2 * kStepsOfEpoch);
  EXPECT_EQ(steps("monitor='loss',stopping_threshold=1000"), 1 * kStepsOfEpoch);
  EXPECT_EQ(steps("monitor='accuracy',stopping_threshold=1000,min_delta=0"),
            4 * kStepsOfEpoch);
  EXPECT_THROW(steps("monitor='other'"), std::invalid_argument);
}

// A hook that writes down when it is called.
class Diary final : public run_hooks::Hook {
 public:
  Diary(std::string name, std::vector<std::string>& pages)
      : name_(std::move(name)), pages_(pages) {}
  void planned(int64_t /*steps*/) override { pages_.push_back(name_); }
  int usual_priority() const override { return 55; }

 private:
  std::string name_;
  std::vector<std::string>& pages_;
};

TEST_F(RunHooksTest, HooksAreCalledInTheOrderOfTheirPriorities) {
  std::vector<std::string> pages;
  run_hooks::hooks().add(
      "test.Diary", [&](const config::Section& config, run_hooks::RunInfo&) {
        return std::make_shared<Diary>(config.required_text("name"), pages);
      });
  train({"default_scope=test", "train_cfg.max_epochs=1",
         "custom_hooks=[{type='Diary',name='a'},"
         "{type='test.Diary',name='b',priority='LOWEST'},"
         "{type='Diary',name='c',priority=3},{type='Diary',name='d',priority='HIGH'},"
         "{type='Diary',name='e'}]"});
  EXPECT_EQ(pages, (std::vector<std::string>{"c", "d", "a", "e", "b"}));
}

}  // namespace
}  // namespace lockstep::runner
