// Ranks that real launchers start, Open MPI's mpirun and a Slurm of one host, give one
// card's losses; and who contradicts them is told so.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "tests/equality/run.h"
#include "tests/one_slurm.h"
#include "tests/program_run.h"

namespace lockstep::equality {
namespace {

constexpr size_t kSteps = 30;
const std::string kWork =
    " --model mlp --precision fp64 --steps 30 --device cpu --threads-per-card 1 "
    "--quiet";

Words operator+(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Words program(const std::string& name, const std::string& options) {
  return Words{program_path(name)} + words(options + kWork);
}

// Of a global batch of 64.
void expect_one_cards(const Words& command, const std::string& what) {
  const auto& one_card = program_losses(
      "single_gpu --batch-size 64 --model mlp --precision fp64 --steps 30");
  ASSERT_EQ(one_card.size(), kSteps);
  const double error = apart(losses(command), one_card, kSteps);
  std::printf("%-9.1e of 1e-10: %s\n", error, what.c_str());
  EXPECT_LE(error, 1e-10) << what;
}

const Words kMpirun =
    words("mpirun --allow-run-as-root --oversubscribe --bind-to none");

TEST(Mpirun, FourRanks) {
  const Words four = kMpirun + words("-np 4");
  expect_one_cards(four + program("ddp", "--batch-size 16"), "mpirun -np 4 ddp");
  expect_one_cards(
      four + program("multinode", "--launcher mpi --backend gloo --batch-size 16"),
      "mpirun -np 4 multinode, gloo");
}

TEST(Mpirun, OneThatStartsItsRanksItself) {
  expect_one_cards(kMpirun + words("-np 1") + program("ddp", "-g 2 --batch-size 32"),
                   "mpirun -np 1 ddp --gpus 2");
}

// Two jobs of one host at once meet at ports of their own.
TEST(Mpirun, TwoJobsBesideEachOther) {
  launch::Command other;
  other.argv = kMpirun + words("-np 2") + program("ddp", "--batch-size 32");
  other.err = launch::Output::kCapture;
  launch::Process process(other);
  expect_one_cards(kMpirun + words("-np 2") + program("ddp", "--batch-size 32"),
                   "mpirun -np 2 beside another");
  EXPECT_EQ(process.wait().code, 0) << process.err();
}

TEST(Mpirun, ALeftOverWorldSizeIsRefused) {
  ProgramRun run("/usr/bin/env", Words{"WORLD_SIZE=4"} + kMpirun + words("-np 2") +
                                     program("ddp", "--batch-size 32"));
  EXPECT_NE(run.status(), 0);
  EXPECT_NE(run.process().err().find(
                "ddp: WORLD_SIZE=\"4\" but OMPI_COMM_WORLD_SIZE=\"2\"; unset "
                "WORLD_SIZE"),
            std::string::npos)
      << run.process().err();
}

class Slurm : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string reason = OneSlurm::cannot();
    if (reason.empty()) {
      slurm_ = std::make_unique<OneSlurm>();
    } else {
      std::printf("WAIVED: tests/launchers (Slurm): %s\n", reason.c_str());
    }
  }
  static void TearDownTestSuite() { slurm_.reset(); }
  void SetUp() override {
    if (slurm_ == nullptr) GTEST_SKIP() << "waived: no Slurm here";
  }

  static inline std::unique_ptr<OneSlurm> slurm_;
};

TEST_F(Slurm, FourTasksOfSrun) {
  const Words four = slurm_->with(words("srun --overcommit -n 4"));
  expect_one_cards(four + program("ddp", "--batch-size 16"), "srun -n 4 ddp");
  expect_one_cards(
      four + program("multinode", "--launcher slurm --backend gloo --batch-size 16"),
      "srun -n 4 multinode, gloo");
}

// Slurm gives the script itself SLURM_PROCID=0 and SLURM_NTASKS=4: it is no rank.
TEST_F(Slurm, TheScriptsOwnShellIsNoRankAndItsSrunIs) {
  const TestFolder folder;
  const auto sbatch = [&](const std::string& line) {
    write_text(folder / "job", "#!/bin/sh\n" + line + " \"$@\"\n");
    return slurm_->with(words("sbatch --wait --overcommit -n 4 -o " + folder / "said") +
                        Words{folder / "job"});
  };
  expect_one_cards(sbatch("exec") + program("ddp", "--gpus 2 --batch-size 32"),
                   "sbatch of ddp --gpus 2");
  expect_one_cards(sbatch("exec srun --overcommit") + program("ddp", "--batch-size 16"),
                   "sbatch of srun ddp");
}

// One task that starts ranks, as `srun --ntasks-per-node=1 torchrun` does.
TEST_F(Slurm, OneTaskThatStartsItsRanks) {
  const Words one = slurm_->with(words("srun -n 1"));
  expect_one_cards(one + program("ddp", "--gpus 2 --batch-size 32"),
                   "srun -n 1 ddp --gpus 2");
  expect_one_cards(one + Words{program_path("launch")} +
                       words("--standalone --nproc-per-node 2") +
                       program("multinode", "--batch-size 32"),
                   "srun -n 1 launch");
  const Words torchrun = Words{std::getenv("LOCKSTEP_PYTHON")} +
                         words(
                             "-m torch.distributed.run --no-python --standalone "
                             "--nproc-per-node 2");
  expect_one_cards(one + torchrun + program("multinode", "--batch-size 32"),
                   "srun -n 1 torchrun");
}

}  // namespace
}  // namespace lockstep::equality
