// Configurations that are wrong, and in which words `train` refuses them: one line with
// the file, the line and the key, and where a name is wrong the nearest one, before
// anything is written.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "metrics/metrics.h"
#include "runner/keys.h"
#include "runner/plugins.h"
#include "runner/runner.h"
#include "tests/config_files.h"
#include "tests/program_run.h"
#include "training/catalog.h"

namespace lockstep::runner {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// good.toml. broken_configurations.txt tells what is changed in it; the file is called
// broken.toml then.
constexpr char kGood[] = R"(work_dir = "work"
model = { type = "mlp" }
train_dataloader = { batch_size = 32, dataset = { type = "synthetic" } }
val_dataloader = { batch_size = 16, dataset = { type = "synthetic" } }
val_cfg = {}
val_evaluator = [{ type = "Accuracy" }]
train_cfg = { by_epoch = true, max_epochs = 4 }
optim_wrapper = { optimizer = { type = "SGD", lr = 0.1 } }
param_scheduler = [{ type = "StepLR", step_size = 2 }]
custom_hooks = [{ type = "EarlyStoppingHook", monitor = "accuracy" }]
env_cfg = { device = "cpu" }
)";

struct Broken {
  std::string text;
  Words changes;
  std::string line;
  bool launched = false;  // as a launcher's one rank
};

// The file's rows, between empty lines: in the place of `was` stands `now`; `add` is
// put behind all else, `set` is a change of the command line, and `say` is the answer.
std::vector<Broken> broken() {
  std::ifstream file(std::string(std::getenv("LOCKSTEP_SOURCE")) +
                     "/tests/runner/broken_configurations.txt");
  std::vector<Broken> rows;
  std::map<std::string, std::string> row;
  Words changes;
  std::string line;
  for (bool more = true; more;) {
    more = static_cast<bool>(std::getline(file, line));
    if (!more) line.clear();
    if (line.rfind("#", 0) == 0) continue;
    const size_t colon = std::min(line.find(": "), line.size());
    const std::string kind = line.substr(0, colon);
    const std::string text = line.substr(std::min(colon + 2, line.size()));
    if (kind == "set") {
      changes.push_back(text);
    } else if (!line.empty()) {
      row[kind] += (row.contains(kind) ? "\n" : "") + text;
    } else if (row.contains("say")) {
      std::string good = kGood;
      const size_t at = good.find(row["was"]);
      if (at == std::string::npos) throw std::logic_error("not there: " + row["was"]);
      good.replace(at, row["was"].size(), row["now"]);
      if (row.contains("add")) good += row["add"] + "\n";
      rows.push_back({good, changes, row["say"], row.contains("launched")});
      row.clear();
      changes.clear();
    }
  }
  return rows;
}

// A metric of whose name nobody can tell whether more of it is better.
struct Odd final : metrics::Metric {
  void process(const at::Tensor&, const at::Tensor&) override {}
  std::vector<double> take_sums() override { return {0}; }
  std::map<std::string, double> values(const std::vector<double>&) const override {
    return {{"odd", 0}};
  }
};

class BrokenConfigurationsTest : public testing::Test {
 protected:
  BrokenConfigurationsTest() {
    training::models().add("test.tiny", [](const model::Inputs& inputs) {
      inputs.arguments.integer("hidden", 16, 1, 64);
      return Network();
    });
    metrics::metrics().add(
        "test.Odd", [](const config::Section&) { return std::make_unique<Odd>(); });
    config::write("good.toml", kGood);
    config::write("round.toml", "_base_ = 'broken.toml'\n");
    config::write("wrong.toml", "\n\n[optim_wrapper]\noptimiser = {}\n");
    config::write("weights.safetensors", "");
  }

  // What is said of the file, with `changes`; nothing where it is good.
  static std::string refusal(const Broken& row) {
    config::write("broken.toml", row.text);
    try {
      const config::Section config = config::load("broken.toml", row.changes);
      config.word("launcher", "none", {"none", "pytorch", "slurm", "mpi"});
      load_plugins(config, "");
      auto run = make_run(config, World(), row.launched, "broken", /*quiet=*/true);
      make_ready(config, run);
    } catch (const config::Error& error) {
      return in_here(error.what());
    } catch (const std::exception& error) {
      return std::string("no config::Error: ") + error.what();
    }
    return "";
  }

  // Without the test's own folder.
  static std::string in_here(std::string line) {
    const std::string here = fs::current_path().string();
    const size_t at = line.find(here);
    return at == std::string::npos ? line : line.replace(at, here.size(), "HERE");
  }

  const config::Folder folder_;
};

TEST_F(BrokenConfigurationsTest, OneLineSaysWhereAndWhat) {
  const auto rows = broken();
  EXPECT_GE(rows.size(), 100U);
  for (const Broken& row : rows) {
    const std::string line = refusal(row);
    EXPECT_EQ(line, row.line) << row.text << ::testing::PrintToString(row.changes);
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_FALSE(fs::exists("work")) << line;
    fs::remove_all("work");
  }
  std::printf("%zu broken configurations\n", rows.size());
}

TEST_F(BrokenConfigurationsTest, TheGoodOneIsGood) {
  EXPECT_EQ(refusal({kGood, {}, ""}), "");
  EXPECT_EQ(refusal({kGood, {}, "", /*launched=*/true}), "");
  EXPECT_TRUE(fs::exists("work"));
}

// What a run before this one left: its checkpoints are no other run's.
TEST_F(BrokenConfigurationsTest, AnotherRunsWorkDir) {
  config::write("good.toml", kGood);
  const Words short_one = {"train_cfg={_delete_=true,by_epoch=false,max_iters=1}",
                           "val_dataloader.batch_size=5000",
                           "default_hooks.logger=false"};
  {
    const config::Section config = config::load("good.toml", short_one);
    runner::Run run = make_run(config, World(), /*distributed=*/false, "good",
                               /*quiet=*/true);
    make_ready(config, run);
    run.way.train(run.info->options, World());
  }
  EXPECT_EQ(refusal({kGood, short_one, ""}),
            "broken.toml:1: work_dir: work/checkpoints holds step-00000001 of an "
            "earlier run; add resume = true, or give a folder of its own");
  EXPECT_EQ(
      refusal({kGood, short_one + Words{"resume=true", "model.type=mlp-wide"}, ""}),
      "command line: resume: work/checkpoints/step-00000001 was made with "
      "model.type mlp, this run has model.type mlp-wide; give the same, or "
      "another work_dir");
  EXPECT_EQ(refusal({kGood, short_one + Words{"resume=true"}, ""}), "");
}

// The program itself, by one rank or by two.
struct Refused {
  Words arguments;
  std::string line;
};

TEST_F(BrokenConfigurationsTest, TrainSaysItAndEndsWithStatus2) {
  config::write("broken.toml", "_base_ = 'good.toml'\nlauncher = 'slurm'\n");
  const std::string here = fs::current_path();
  const std::vector<Refused> kRefused = {
      {{}, "config is required; see --help"},
      {{"nowhere.toml"}, "nowhere.toml: is not there"},
      {{"good.toml", "optim_wrapper.optimizer.lr=-1"},
       "command line: optim_wrapper.optimizer.lr: -1 must be 0 to 1e+38"},
      {{"good.toml", "--lr", "3"},
       "The following argument was not expected: --lr; see --help"},
      {{"good.toml", "--work-dir", "good.toml/it's \"good\"", "--cfg-options",
        "model.type=mpl"},
       "command line: model.type: unknown model 'mpl'; did you mean 'mlp'? Known: "
       "convnet, convnet-plain, linear, mlp, mlp-wide, resnet18, resnet50, "
       "transformer, "
       "transformer-tied"},
      {{"good.toml", "--work-dir", "good.toml"},
       "command line: work_dir: 'good.toml' cannot be made, '" + here +
           "/good.toml': Not a directory; give a path in a folder that is yours"},
      {{"good.toml", "--launcher", "pytorhc"},
       "command line: launcher: unknown 'pytorhc'; did you mean 'pytorch'? Known: "
       "none, "
       "pytorch, slurm, mpi"},
      {{"good.toml", "--launcher", "pytorch"},
       "command line: launcher: pytorch but neither RANK nor WORLD_SIZE is set; start "
       "the program by torchrun"},
      {{"broken.toml"},
       "broken.toml:2: launcher: slurm but SLURM_PROCID is not that of a task; start "
       "the program by srun"},
  };
  for (const Refused& row : kRefused) {
    ProgramRun run("train", row.arguments);
    EXPECT_EQ(run.status(), 2) << row.line;
    EXPECT_EQ(run.process().err(), "train: " + row.line + "\n");
    EXPECT_EQ(run.process().out(), "");
    EXPECT_FALSE(fs::exists("work")) << row.line;
  }
}

// `launch` tells of the rank that ended; of the two only one has spoken.
TEST_F(BrokenConfigurationsTest, OfTwoRanksOneSpeaks) {
  const std::vector<Refused> kRefused = {
      {{"train_dataloader.batchsize=32"},
       "command line: train_dataloader.batchsize: unknown key; did you mean "
       "'batch_size'? Known: batch_size, dataset, drop_last, num_workers, pin_memory, "
       "sampler"},
      {{"work_dir=good.toml"}, "command line: work_dir: 'good.toml' cannot be made"},
  };
  for (const Refused& row : kRefused) {
    ProgramRun run("launch",
                   Words{"--standalone", "--nproc-per-node", "2", program_path("train"),
                         "good.toml", "--launcher", "pytorch"} +
                       row.arguments);
    EXPECT_EQ(run.status(), 2) << row.line;
    int said = 0;
    for (const std::string& line : lines_of(run.process().err())) {
      if (line.rfind("[rank ", 0) != 0) continue;
      ++said;
      EXPECT_NE(line.find("] train: " + row.line), std::string::npos) << line;
    }
    EXPECT_EQ(said, 1) << run.process().err();
    EXPECT_FALSE(fs::exists("work")) << row.line;
  }
}

}  // namespace
}  // namespace lockstep::runner
