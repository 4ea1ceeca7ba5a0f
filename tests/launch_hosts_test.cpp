// `launch` and real training: on one host, on two (network namespaces), through
// failures, restarts and machines that go, the losses are one card's.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/equality/run.h"
#include "tests/on_two_hosts.h"
#include "tests/program_run.h"

namespace lockstep::equality {
namespace {

constexpr size_t kSteps = 50;
const std::string kWork = " --model mlp --precision fp64 --steps ";
const std::string kForever =
    "ddp --model linear --dataset features100 --epochs 1000000 --backend gloo";

Words program(const std::string& line) {
  Words command = words(line + " --device cpu --threads-per-card 1 --quiet");
  command[0] = program_path(command[0]);
  return command;
}

Words launch_with(const std::string& options, const Words& command) {
  return Words{program_path("launch")} + words(options) + command;
}

void expect_one_cards(const std::vector<double>& losses, const std::string& what) {
  const double error = apart(
      losses, program_losses("single_gpu --batch-size 64" + kWork + "50"), kSteps);
  std::printf("%-9.1e of 1e-10: %s\n", error, what.c_str());
  EXPECT_LE(error, 1e-10) << what;
}

TEST(LaunchTraining, OnOneHostGivesOneCardsLosses) {
  const std::string work = " --batch-size 32" + kWork + "50";
  expect_one_cards(
      losses(launch_with("--standalone --nproc-per-node 2", program("ddp" + work))),
      "launch ddp");
  expect_one_cards(losses(launch_with("--nproc_per_node=2 --master_port 0 --use_env",
                                      program("multinode --backend gloo" + work))),
                   "launch multinode over gloo");
  const Words python = {
      std::getenv("LOCKSTEP_PYTHON"),
      std::string(std::getenv("LOCKSTEP_SOURCE")) + "/bench/peers/train.py"};
  expect_one_cards(
      losses(launch_with("--standalone --nproc-per-node 2", python + words(work))),
      "launch python train.py, DistributedDataParallel over gloo");
}

class LaunchHosts : public OnTwoHosts {
 protected:
  static void SetUpTestSuite() { build("tests/launch_hosts"); }

  static Words on_node(int node, const std::string& options, const Words& command,
                       int ranks = 2) {
    return hosts_->on(
        node, launch_with("--nnodes=2 --nproc_per_node=" + std::to_string(ranks) +
                              " --node_rank=" + std::to_string(node) +
                              " --master_addr=" + emulation::Hosts::address(0) +
                              " --master_port=29600 " + options,
                          command));
  }
  static std::unique_ptr<ProgramRun> start(int node, const std::string& options,
                                           const Words& command, int ranks = 2) {
    const Words all = on_node(node, options, command, ranks);
    return std::make_unique<ProgramRun>("/usr/bin/env", all);
  }

  // Until its ranks have been there for a while.
  static void await_ranks(const ProgramRun& run) {
    for (int i = 0; i < 3000 && run.alive().size() < 5; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_GE(run.alive().size(), 5u) << "launch, two guards, two ranks";
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }

  // The launcher and nobody else.
  static int launcher_of(ProgramRun& run) { return run.process().pid(); }
};

// As the tutorials start it, with `launch` for `python -m torch.distributed.launch`.
TEST_F(LaunchHosts, TwoOfTwoRanksGiveOneCardsLosses) {
  for (const std::string name : {"ddp", "multinode"}) {
    const Words command = program(name + " --batch-size 16" + kWork + "50");
    const auto other = start(1, "", command);
    expect_one_cards(losses(on_node(0, "", command)), "2 hosts of 2 ranks, " + name);
    EXPECT_EQ(other->status(), 0) << other->process().err();
  }
}

std::map<int64_t, double> losses_by_step(const std::string& file) {
  std::map<int64_t, double> losses;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    losses[json.at("step")] = json.at("loss");
  }
  return losses;
}

TEST_F(LaunchHosts, ARankKilledOnOneStartsAllAgainFromTheCheckpoint) {
  const TestFolder folder;
  // Rank 3 is killed once there is a checkpoint, in the first attempt.
  const Words dies = {
      "sh", "-c",
      "[ $RANK$TORCHELASTIC_RESTART_COUNT = 30 ] || exec \"$0\" \"$@\"; "
      "\"$0\" \"$@\" & rank=$!; until [ -e " +
          folder / "kept/latest" +
          " ]; do sleep 0.01; done; kill -KILL $rank; wait $rank"};
  const Words command =
      dies + program("ddp --backend gloo --batch-size 16" + kWork +
                     "200 --checkpoint-every 10 --resume --checkpoint " +
                     folder / "kept" + " --metrics-file " + folder / "metrics");
  const auto second = start(1, "--max-restarts 1", command);
  const auto first = start(0, "--max-restarts 1", command);
  EXPECT_EQ(first->status(), 0) << first->process().err();
  EXPECT_EQ(second->status(), 0) << second->process().err();
  for (const auto& run : {first.get(), second.get()}) {
    const std::string said = run->process().err();
    EXPECT_NE(said.find("rank 3 on "), std::string::npos) << said;
    EXPECT_NE(said.find("exited with status 137"), std::string::npos) << said;
    EXPECT_NE(said.find("; starting all ranks again (restart 1 of 1)"),
              std::string::npos)
        << said;
  }
  const auto resumed = losses_by_step(folder / "metrics");
  const auto& whole = program_losses("single_gpu --batch-size 64" + kWork + "200");
  ASSERT_FALSE(resumed.empty());
  EXPECT_GT(resumed.begin()->first, 0) << "it began anew";
  EXPECT_EQ(resumed.rbegin()->first, 199);
  for (const auto& [step, loss] : resumed) {
    EXPECT_NEAR(loss, whole[static_cast<size_t>(step)], 1e-10 * loss) << step;
  }
}

TEST_F(LaunchHosts, MachinesMayHaveDifferentNumbersOfRanks) {
  const Words tells = {"sh", "-c",
                       "echo rank $RANK of $WORLD_SIZE, $LOCAL_RANK of "
                       "$LOCAL_WORLD_SIZE on $GROUP_RANK of $GROUP_WORLD_SIZE"};
  const auto second = start(1, "", tells, /*ranks=*/3);
  const auto first = start(0, "", tells, /*ranks=*/1);
  EXPECT_EQ(first->status(), 0) << first->process().err();
  EXPECT_EQ(second->status(), 0) << second->process().err();
  const std::string said = first->process().out() + second->process().out();
  for (const char* rank :
       {"] rank 0 of 4, 0 of 1 on 0 of 2\n", "] rank 1 of 4, 0 of 3 on 1 of 2\n",
        "] rank 2 of 4, 1 of 3 on 1 of 2\n", "] rank 3 of 4, 2 of 3 on 1 of 2\n"}) {
    EXPECT_NE(said.find(rank), std::string::npos) << said;
  }
}

TEST_F(LaunchHosts, AFailureOnOneIsTheStatusOfBoth) {
  const Words fails = {"sh", "-c", "[ $RANK = 3 ] && exit 9; exec sleep 1000"};
  const auto second = start(1, "", fails);
  const auto first = start(0, "", fails);
  expect_refusal(*second, 9, {"launch: rank 3 on ", "exited with status 9"});
  expect_refusal(*first, 9, {"launch: node 1: rank 3 on ", "exited with status 9"});
}

TEST_F(LaunchHosts, ASignalToOneEndsBothForGood) {
  const auto second = start(1, "--max-restarts 3", program(kForever));
  const auto first = start(0, "--max-restarts 3", program(kForever));
  await_ranks(*first);
  kill(launcher_of(*second), SIGTERM);
  expect_refusal(*second, 128 + SIGTERM, {"the ranks were stopped by SIGTERM"});
  expect_refusal(*first, 128 + SIGTERM,
                 {"launch: node 1: the ranks were stopped by SIGTERM"});
}

TEST_F(LaunchHosts, ALauncherThatIsKilledIsNamed) {
  for (const int victim : {0, 1}) {
    std::array<std::unique_ptr<ProgramRun>, 2> runs;
    for (const int node : {1, 0}) {
      runs[node] = start(node, "", {"sleep", "1000"});
    }
    await_ranks(*runs[0]);
    kill(launcher_of(*runs[victim]), SIGKILL);
    EXPECT_EQ(runs[victim]->status(), 128 + SIGKILL);
    expect_refusal(*runs[1 - victim], 1,
                   {"launch: node " + std::to_string(victim) + " (pid ", " has gone"});
  }
}

// The store and its count of attempts go with node 0's, and come anew.
TEST_F(LaunchHosts, ALauncherThatIsStartedAnewJoinsTheNextAttempt) {
  for (const int victim : {0, 1}) {
    const TestFolder folder;
    const Words command = {"sh", "-c",
                           "[ -e " + folder / "again" + " ] && exit 0; sleep 1000"};
    std::array<std::unique_ptr<ProgramRun>, 2> runs;
    for (const int node : {1, 0}) {
      runs[node] = start(node, "--max-restarts 1", command);
    }
    await_ranks(*runs[0]);
    write_text(folder / "again", "");
    kill(launcher_of(*runs[victim]), SIGKILL);
    EXPECT_EQ(runs[victim]->status(), 128 + SIGKILL);
    runs[victim] = start(victim, "--max-restarts 1", command);
    for (const auto& run : runs) {
      EXPECT_EQ(run->status(), 0) << run->process().err();
      EXPECT_EQ(run->alive(), std::vector<int>{});
    }
    const std::string said = runs[1 - victim]->process().err();
    EXPECT_NE(said.find(" has gone; starting all ranks again (restart 1 of 1)"),
              std::string::npos)
        << said;
  }
}

TEST_F(LaunchHosts, OneThatNeverComesIsNamed) {
  const auto first = start(0, "--timeout 1", {"true"});
  expect_refusal(*first, 1, {"launch: waited 1 s for node 1 of 2 at ", "; came: 0"});
  const auto second = start(1, "--timeout 1", {"true"});
  expect_refusal(*second, 1, {"launch: node 1 of 2 met nobody at ", ":29600"});
}

TEST_F(LaunchHosts, ACableThatIsPulledIsNoticedOnBothSides) {
  const auto second = start(1, "", program(kForever));
  const auto first = start(0, "", program(kForever));
  await_ranks(*first);
  hosts_->cut_cable(0);
  // Ranks and launchers notice in the same moment; the first to say so is the summary.
  for (ProgramRun* run : {first.get(), second.get()}) {
    EXPECT_EQ(run->status(), 1);
    const std::string said = run->process().err();
    const std::string other = run == first.get() ? "1" : "0";
    EXPECT_TRUE(said.find("launch: node " + other + " (pid ") != std::string::npos ||
                said.find("; its last lines:\n") != std::string::npos)
        << said;
    EXPECT_NE(said.find("been heard of for "), std::string::npos) << said;
    EXPECT_EQ(run->alive(), std::vector<int>{});
  }
  hosts_->plug_cable_in(0);
}

}  // namespace
}  // namespace lockstep::equality
