// Ranks that real launchers start, Open MPI's mpirun and a Slurm of one host, give one
// card's losses, DDP's and Horovod's; and who contradicts them is told so.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "host/this_host.h"
#include "tests/equality/run.h"
#include "tests/one_slurm.h"
#include "tests/program_run.h"

namespace lockstep::equality {
namespace {

constexpr size_t kSteps = 30;
const std::string kWork =
    " --model mlp --precision fp64 --steps 30 --device cpu --threads-per-card 1 "
    "--quiet";

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

// By one command, --gpus 2, it is in equality_test.
TEST(Horovod, StartedByMpirunAndByLaunch) {
  const Words horovod = program("horovod", "--batch-size 32");
  expect_one_cards(kMpirun + words("-np 2") + horovod, "mpirun -np 2 horovod");
  expect_one_cards(Words{program_path("launch")} +
                       words("--standalone --nproc-per-node 2") + horovod,
                   "launch of horovod");
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

  // Ends with the job, as `sbatch --wait` does, which looks after it every ten seconds;
  // with 0 where the job did. Of the states only a last one ends it: a controller that
  // is too busy to answer, and a job that is on its way back into the queue (CANCELLED,
  // for a moment), are none.
  static Words sbatch(const Words& more) {
    constexpr char kWaits[] =
        "id=$(\"$@\") || exit; while :; do job=$(scontrol show job $id 2>&1); "
        "case $job in *JobState=COMPLETED*) exit 0;; "
        "*JobState=FAILED*|*JobState=TIMEOUT*|*JobState=NODE_FAIL*) break;; esac; "
        "sleep 0.2; done; echo \"$job\" >&2; exit 1";
    return slurm_->with(Words{"sh", "-c", kWaits, "sh"} +
                        words("sbatch --parsable --overcommit") + more);
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
  const auto script = [&](const std::string& line) {
    write_text(folder / "job", "#!/bin/sh\n" + line + " \"$@\"\n");
    return sbatch(words("-n 4 -o " + folder / "said") + Words{folder / "job"});
  };
  expect_one_cards(script("exec") + program("ddp", "--gpus 2 --batch-size 32"),
                   "sbatch of ddp --gpus 2");
  expect_one_cards(script("exec srun --overcommit") + program("ddp", "--batch-size 16"),
                   "sbatch of srun ddp");
}

// Lines of several ranks in one place say whose they are, once.
TEST_F(Slurm, ARanksLineSaysWhoseItIs) {
  const auto said = [](const Words& command) {
    launch::Command run;
    run.argv = command + words("--data-dir /no/such/folder");
    run.err = launch::Output::kCapture;
    launch::Process process(run);
    EXPECT_NE(process.wait().code, 0);
    return process.err();
  };
  const Words ddp = program("ddp", "--batch-size 32");
  const std::string line = "ddp: no folder /no/such/folder";
  const std::string ours = "[rank 0 " + host::short_name() + "] " + line;
  for (const Words& launcher :
       {slurm_->with(words("srun --overcommit -n 2")), kMpirun + words("-np 2")}) {
    const std::string plain = said(launcher + ddp);
    EXPECT_EQ(plain.rfind(ours, 0), 0u) << plain;
    const std::string label = launcher.front() == "env" ? "--label" : "--tag-output";
    const std::string labelled = said(launcher + Words{label} + ddp);
    EXPECT_NE(labelled.find((label == "--label" ? "0: " : "<stderr>:") + line),
              std::string::npos)
        << labelled;
    EXPECT_EQ(labelled.find("[rank 0"), std::string::npos) << labelled;
  }
}

// The cluster file, tasks, cpus and gres cut to this machine by sbatch's options.
class Sbatch : public Slurm {
 protected:
  Sbatch() {
    std::filesystem::create_directory(folder_ / "build");
    std::filesystem::create_symlink(std::getenv("LOCKSTEP_BIN"), folder_ / "build/bin");
  }

  Words job(const std::string& options) const {
    return sbatch(
        words("--nodes 1 --ntasks-per-node 2 --cpus-per-task 1 --gres none --chdir " +
              folder_ / "" + " --output " + folder_ / "said") +
        Words{std::string(std::getenv("LOCKSTEP_SOURCE")) + "/multinode/job.sbatch"} +
        words("--batch-size 32" + options));
  }

  std::string said() const { return read_text(folder_ / "said"); }

  // A command of Slurm's that has ended.
  static launch::Process slurm(const Words& words) {
    launch::Command command;
    command.argv = slurm_->with(words);
    command.out = command.err = launch::Output::kCapture;
    launch::Process process(command);
    process.wait();
    return process;
  }

  static void await(const std::function<bool()>& so) {
    for (int i = 0; i < 1200 && !so(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ASSERT_TRUE(so());
  }

  TestFolder folder_;
};

TEST_F(Sbatch, TheClusterFile) {
  expect_one_cards(job(kWork), "sbatch multinode/job.sbatch");
}

// Told by Slurm that its time is over it waits in the queue again, under its old
// number, and goes on from its last checkpoint.
TEST_F(Sbatch, TheClusterFileGoesOnWhereItsTimeWasOver) {
  const std::string work =
      " --model mlp --steps 3000 --device cpu --threads-per-card 1 --quiet";
  launch::Command command;
  command.argv = job(work);
  command.out = command.err = launch::Output::kCapture;
  launch::Process job(command);
  const std::string checkpoints = folder_ / "checkpoints";
  std::string id;
  await([&] {
    if (!std::filesystem::exists(checkpoints)) return false;
    for (const auto& entry : std::filesystem::directory_iterator(checkpoints)) {
      id = entry.path().filename().string();
    }
    return std::filesystem::exists(checkpoints + "/" + id + "/latest");
  });
  EXPECT_EQ(slurm(words("scancel --batch --signal USR1 " + id)).wait().code, 0);
  await([&] { return said().find("waiting in the queue again") != std::string::npos; });
  await([&] {
    const std::string shown = slurm(words("scontrol show job " + id)).out();
    return shown.find("JobState=PENDING") != std::string::npos;
  });
  // There it waits for two minutes, unless told. A start in the second of its end is
  // refused: Slurm's credentials count in seconds, and those of then are revoked.
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(slurm(words("scontrol update StartTime=now JobId=" + id)).wait().code, 0);
  await([&] { return job.wait_for(std::chrono::milliseconds(250)).has_value(); });
  EXPECT_EQ(job.wait().code, 0) << said() << job.err();
  EXPECT_NE(said().find("checkpoint: resuming after step "), std::string::npos)
      << said();
  // To the byte what a run that nobody stopped leaves.
  const std::string whole = folder_ / "whole";
  ProgramRun undisturbed("multinode",
                         words("-g 2 --batch-size 32 --checkpoint " + whole + work));
  EXPECT_EQ(undisturbed.status(), 0) << undisturbed.process().err();
  const std::string last = "/step-00003000/manifest";
  EXPECT_NE(read_text(whole + last), "");
  EXPECT_EQ(read_text(checkpoints + "/" + id + last), read_text(whole + last));
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
