// The Runner's configurations, as they stand in runner/examples/, by one rank and by
// two that torchrun, mpirun, a real srun or `launch` start, with nothing but the
// launcher changed: the losses are those of `ddp`.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "tests/equality/run.h"
#include "tests/one_slurm.h"
#include "tests/program_run.h"
#include "tests/small_images.h"

namespace lockstep::equality {
namespace {

namespace fs = std::filesystem;

constexpr int kEpochs = 3;
constexpr uint32_t kImages = 4;
constexpr int kBatch = 2;

class RunnerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { images_ = std::make_unique<SmallImages>(kImages); }
  static void TearDownTestSuite() { images_.reset(); }

  // The example on the small images, in fp64.
  Words train(const std::string& example, const std::string& more = "") const {
    const std::string examples = std::string(std::getenv("LOCKSTEP_SOURCE")) +
                                 "/runner/examples/" + example + ".toml";
    return Words{program_path("train"),
                 examples,
                 "work_dir=" + (folder_ / std::to_string(++runs_)),
                 "train_dataloader.dataset.data_dir=" + images_->path(),
                 "val_dataloader.dataset.data_dir=" + images_->path(),
                 "train_dataloader.batch_size=" + std::to_string(kBatch),
                 "default_hooks.checkpoint.interval=3",  // each is 180 MB
                 "env_cfg.precision=fp64",
                 "env_cfg.threads_per_card=1",
                 "env_cfg.device=cpu",
                 "--quiet"} +
           words(more);
  }

  static const std::vector<double>& ddp(int ranks,
                                        const std::string& model = "resnet18") {
    return program_losses(
        "ddp --gpus " + std::to_string(ranks) + " --model " + model +
        " --dataset fashion-mnist --data-dir " + images_->path() + " --batch-size " +
        std::to_string(kBatch) + " --lr 0.001 --momentum 0.9 --epochs " +
        std::to_string(kEpochs) + " --precision fp64 --threads-per-card 1");
  }

  static void expect_equal(const Words& command, const std::vector<double>& theirs,
                           const std::string& what) {
    const auto steps = static_cast<size_t>(kEpochs * kImages / kBatch);
    ASSERT_TRUE(theirs.size() == steps || theirs.size() == steps / 2) << theirs.size();
    const double error = apart(losses(command), theirs, theirs.size());
    std::printf("%-9.1e of 1e-10: %s\n", error, what.c_str());
    EXPECT_LE(error, 1e-10) << what;
  }

  static inline std::unique_ptr<SmallImages> images_;
  const TestFolder folder_;
  mutable int runs_ = 0;
};

const Words kLaunch = words("--standalone --nproc-per-node 2");
const Words kMpirun =
    words("mpirun --allow-run-as-root --oversubscribe --bind-to none -np 2");

Words launched(const Words& command) {
  return Words{program_path("launch")} + kLaunch + command;
}

TEST_F(RunnerTest, OneCard) {
  expect_equal(train("resnet18"), ddp(1), "resnet18.toml");
  expect_equal(train("find_unused_parameters"), ddp(1), "find_unused_parameters.toml");
}

TEST_F(RunnerTest, TwoCards) {
  expect_equal(launched(train("resnet18", "--launcher pytorch")), ddp(2),
               "resnet18.toml by launch");
  expect_equal(launched(train("find_unused_parameters", "--launcher pytorch")), ddp(2),
               "find_unused_parameters.toml by launch");
  expect_equal(launched(train("launcher_pytorch")), ddp(2), "launcher_pytorch.toml");
  const std::string mlp = "model.type=mlp ";
  expect_equal(kMpirun + train("resnet18", mlp + "--launcher mpi"), ddp(2, "mlp"),
               "resnet18.toml of mlp by mpirun");
}

TEST_F(RunnerTest, OneRankOfALauncher) {
  expect_equal(
      Words{program_path("launch"), "--standalone"} + train("launcher_pytorch"), ddp(1),
      "launcher_pytorch.toml, one rank");
  // Nothing but the launcher, back to none.
  expect_equal(train("launcher_slurm", "--launcher none"), ddp(1),
               "launcher_slurm.toml --launcher none");
}

TEST_F(RunnerTest, Torchrun) {
  const Words torchrun = {std::getenv("LOCKSTEP_PYTHON"), "-m",
                          "torch.distributed.run"};
  expect_equal(torchrun + words("--standalone --no-python --nproc-per-node 2") +
                   train("launcher_pytorch"),
               ddp(2), "launcher_pytorch.toml by torchrun");
}

TEST_F(RunnerTest, Srun) {
  const std::string reason = OneSlurm::cannot();
  if (!reason.empty()) {
    std::printf("WAIVED: tests/runner (Slurm): %s\n", reason.c_str());
    GTEST_SKIP() << "waived: no Slurm here";
  }
  const OneSlurm slurm;
  expect_equal(slurm.with(words("srun --overcommit -n 2") + train("launcher_slurm")),
               ddp(2), "launcher_slurm.toml by srun -n 2");
  expect_equal(slurm.with(words("srun --overcommit -n 1") + train("launcher_slurm")),
               ddp(1), "launcher_slurm.toml by srun -n 1");
}

// A network, a hook and a model wrapper of a plug-in. What it computes is mine.tiny's
// own: by one rank of twice the batch, by two ranks, and by two that reduce by
// `MMDistributedDataParallel`.
TEST_F(RunnerTest, OwnParts) {
  const std::string twice = "train_dataloader.batch_size=" + std::to_string(2 * kBatch);
  const auto& one = losses(train("own_parts", twice));
  expect_equal(launched(train("own_parts", "--launcher pytorch")), one,
               "own_parts.toml, 2 ranks, from one of twice the batch");
  expect_equal(launched(train("own_parts",
                              "--launcher pytorch "
                              "model_wrapper_cfg.type=MMDistributedDataParallel")),
               one, "the same by MMDistributedDataParallel");
  ProgramRun run("train", [&] {
    Words command = train("own_parts");
    command.erase(command.begin());
    command.erase(std::find(command.begin(), command.end(), "--quiet"));
    return command;
  }());
  EXPECT_EQ(run.status(), 0) << run.process().err();
  EXPECT_NE(run.process().err().find("weight norm: "), std::string::npos)
      << run.process().err();
}

// One key of one rank alone, whatever it does: who it is and what it was told.
TEST_F(RunnerTest, RanksToldOtherThingsAreNamed) {
  const std::string mlp = "model.type=mlp --launcher pytorch ";
  for (const auto& [change, said] :
       {std::pair{"param_scheduler={type='StepLR',step_size=1}",
                  "rank 1 was started with param_scheduler.step_size = 1 and rank 0 "
                  "without param_scheduler.step_size; give all ranks the same "
                  "configuration"},
        {"train_dataloader.sampler.shuffle=false",
         "rank 1 was started with train_dataloader.sampler.shuffle = false and rank 0 "
         "with train_dataloader.sampler.shuffle = true; give all ranks the same "
         "configuration"}}) {
    const Words both = train("resnet18", mlp);
    ProgramRun run("launch",
                   kLaunch +
                       Words{"sh", "-c",
                             "change=$1; shift; [ $RANK = 0 ] || set -- \"$@\" "
                             "\"$change\"; exec \"$@\"",
                             "sh", change} +
                       both);
    EXPECT_NE(run.status(), 0);
    EXPECT_NE(run.process().err().find(said), std::string::npos) << run.process().err();
  }
}

// `--launcher` forgotten: ranks would train one beside the other, each alone.
TEST_F(RunnerTest, ARankThatNobodyWasToldOfIsRefused) {
  Words command = launched(train("resnet18"));
  command.erase(command.begin());
  ProgramRun run("launch", command);
  EXPECT_NE(run.status(), 0);
  EXPECT_NE(run.process().err().find(
                "launcher: none: this process is rank 0 of 2 that a launcher started"),
            std::string::npos)
      << run.process().err();
}

// The cards of one process, as threads.
TEST_F(RunnerTest, DataParallel) {
  const std::string twice = "train_dataloader.batch_size=" + std::to_string(2 * kBatch);
  const std::string plain = "model.type=convnet-plain ";
  expect_equal(
      train("resnet18",
            plain + "model_wrapper_cfg={type=\"DataParallel\",device_ids=[0,1]}"),
      losses(train("resnet18", plain + twice)), "DataParallel on two cards");
}

}  // namespace
}  // namespace lockstep::equality
