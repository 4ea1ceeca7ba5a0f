// The same training over many machines, started in every way of the tutorials, gives
// one card's losses; and what it listens on. Two hosts are network namespaces.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "data/data_folder.h"
#include "tests/equality/run.h"
#include "tests/on_two_hosts.h"
#include "tests/program_run.h"

namespace lockstep::equality {
namespace {

constexpr size_t kSteps = 50;
const std::string kFp64 = " --model mlp --precision fp64 --steps 50";
const std::string kFp32 = " --model mlp --steps 50";

// One card that takes what two ranks of a local batch of 32 take together.
const std::vector<double>& one_card(const std::string& work, int batch = 64) {
  return program_losses("single_gpu --batch-size " + std::to_string(batch) + work);
}

Words multinode(const std::string& options) {
  Words command = words(options + " --device cpu --threads-per-card 1 --quiet");
  command.insert(command.begin(), program_path("multinode"));
  return command;
}

Words torchrun(const std::string& options, const std::string& of_program) {
  Words command = words("-m torch.distributed.run --no-python " + options);
  command.insert(command.begin(), std::getenv("LOCKSTEP_PYTHON"));
  const Words program = multinode(of_program);
  command.insert(command.end(), program.begin(), program.end());
  return command;
}

void expect_one_cards(const std::vector<double>& losses, const std::string& work,
                      const std::string& what, int batch = 64) {
  const bool fp64 = work.find("fp64") != std::string::npos;
  const double bar = fp64 ? 1e-10 : 1e-5;
  const double error = apart(losses, one_card(work, batch), kSteps);
  std::printf("%-9.1e of %.0e: %s\n", error, bar, what.c_str());
  EXPECT_LE(error, bar) << what;
}

TEST(OneHost, TheSpawnProgramOfTheTutorials) {
  const std::string tutorial = "-n 1 -g 2 -nr 0 --epochs 1 --batch-size 32";
  const auto& epoch = losses(multinode(tutorial));
  EXPECT_EQ(epoch.size(), 60000u / 64 + 1);
  expect_one_cards(epoch, kFp32, tutorial);
  expect_one_cards(losses(multinode("-n 1 -g 2 -nr 0 --batch-size 32" + kFp64)), kFp64,
                   tutorial + ", fp64");
}

// Who brings the ranks together does not know their precision: fp32 where hosts start
// their ranks themselves, and above.
TEST(OneHost, TorchrunWithItsAgentsStore) {
  const std::string options = "--init-method env:// --batch-size 32" + kFp64;
  expect_one_cards(losses(torchrun("--standalone --nproc_per_node=2", options)), kFp64,
                   "torchrun --nproc_per_node=2");
}

TEST(OneHost, RanksStartedByHandMeetInAFile) {
  const TestFolder folder;
  const std::string options =
      "--init-method file://" + folder / "job" + " --world-size 2 --batch-size 32";
  launch::Command second;
  second.argv = multinode(options + " --rank 1" + kFp64);
  launch::Process process(second);
  expect_one_cards(losses(multinode(options + " --rank 0" + kFp64)), kFp64, options);
  EXPECT_EQ(process.wait().code, 0);
  EXPECT_TRUE(folder.names().empty()) << folder.names().front();
}

TEST(OneHost, AFileThatIsThereStays) {
  const TestFolder folder;
  write_text(folder / "job", "somebody's");
  ProgramRun run("multinode", {"-g", "2", "--device", "cpu", "--init-method",
                               "file://" + folder / "job"});
  expect_refusal(run, 2, {"multinode: ", "--init-method file://", "remove it"});
  EXPECT_EQ(read_text(folder / "job"), "somebody's");
}

class Hosts : public OnTwoHosts {
 protected:
  static void SetUpTestSuite() { build("tests/multinode"); }

  // Both commands at once; the losses that the first host's rank 0 writes.
  static std::vector<double> losses_of_both(const Words& first, const Words& second) {
    launch::Command command;
    command.argv = hosts_->on(1, second);
    command.err = launch::Output::kCapture;
    launch::Process other(command);
    const std::vector<double>& result = losses(hosts_->on(0, first));
    const auto status = other.wait_for(std::chrono::seconds(60));
    EXPECT_TRUE(status.has_value() && status->code == 0) << other.err();
    return result;
  }
};

TEST_F(Hosts, EachStartsItsRanks) {
  for (const std::string& work : {kFp64, kFp32}) {
    const auto on_node = [&](int node) {
      return multinode("--nnodes 2 --node_rank " + std::to_string(node) +
                       " --nproc_per_node 2 --master_addr " +
                       emulation::Hosts::address(0) +
                       " --master_port 29500 --batch-size 16" + work);
    };
    expect_one_cards(losses_of_both(on_node(0), on_node(1)), work,
                     "2 hosts of 2 ranks" + work);
  }
}

TEST_F(Hosts, TorchrunOnEach) {
  const auto on_node = [&](int node) {
    return torchrun("--nnodes 2 --node_rank " + std::to_string(node) +
                        " --nproc_per_node 2 --master_addr " +
                        emulation::Hosts::address(0) + " --master_port 29501",
                    "--batch-size 16" + kFp64);
  };
  expect_one_cards(losses_of_both(on_node(0), on_node(1)), kFp64,
                   "2 hosts of 2 ranks under torchrun");
}

TEST_F(Hosts, OneRankEachByTcp) {
  for (const std::string& listen :
       {emulation::Hosts::address(0), std::string("0.0.0.0")}) {
    const auto of_rank = [&](int rank, const std::string& host) {
      return multinode("--init-method tcp://" + host + ":23456 --rank " +
                       std::to_string(rank) + " --world-size 2 --batch-size 32" +
                       kFp64);
    };
    expect_one_cards(
        losses_of_both(of_rank(0, listen), of_rank(1, emulation::Hosts::address(0))),
        kFp64, "tcp://" + listen + ":23456");
  }
}

// Where rank 0 is told 0.0.0.0, so is the rank beside it: only the others know how its
// machine is reached.
TEST_F(Hosts, SeveralRanksOfAMachineThatListensEverywhere) {
  const auto on_node = [&](int node, const std::string& host) {
    return multinode("-n 2 -g 2 -nr " + std::to_string(node) + " --init-method tcp://" +
                     host + ":23457 --batch-size 16" + kFp64);
  };
  expect_one_cards(
      losses_of_both(on_node(0, "0.0.0.0"), on_node(1, emulation::Hosts::address(0))),
      kFp64, "2 hosts of 2 ranks, tcp://0.0.0.0");
}

TEST_F(Hosts, MeetInAFileThatBothSee) {
  const TestFolder folder;
  const auto on_node = [&](int node) {
    return multinode("-n 2 -g 1 -nr " + std::to_string(node) +
                     " --init-method file://" + folder / "job" + " --batch-size 32" +
                     kFp64);
  };
  expect_one_cards(losses_of_both(on_node(0), on_node(1)), kFp64, "file://");
  EXPECT_TRUE(folder.names().empty()) << folder.names().front();
}

// The Multi-Layer Perceptron of the tutorials on images of MNIST's format: SGD 0.01,
// batch 64, log-softmax and NLL (together CrossEntropy, training/evaluate.h), the train
// loss printed each epoch.
TEST_F(Hosts, TheMnistTutorialPrintsItsTrainLossEachEpoch) {
  const auto command = [&](int rank, const std::string& host) {
    Words words =
        multinode("--init-method tcp://" + host + ":23456 --rank " +
                  std::to_string(rank) + " --world-size 2 --dataset mnist --data-dir " +
                  data::default_data_dir("fashion-mnist").string() +
                  " --model mlp --lr 0.01 --batch-size 64 --epochs 2");
    words.erase(std::find(words.begin(), words.end(), "--quiet"));
    launch::Command command;
    command.argv = hosts_->on(rank, words);
    command.out = command.err = launch::Output::kCapture;
    return command;
  };
  launch::Process other(command(1, emulation::Hosts::address(0)));
  launch::Process first(command(0, "0.0.0.0"));
  const auto status = first.wait_for(std::chrono::seconds(200));
  ASSERT_TRUE(status.has_value() && status->code == 0) << first.err();
  EXPECT_EQ(other.wait().code, 0);
  double before = 10;
  for (const std::string epoch : {"1", "2"}) {
    const std::string wanted = "epoch " + epoch + "  train loss ";
    const size_t at = first.out().find(wanted);
    ASSERT_NE(at, std::string::npos) << first.out();
    const double loss = std::stod(first.out().substr(at + wanted.size()));
    EXPECT_LT(loss, before);
    EXPECT_GT(loss, 0.1);
    before = loss;
  }
  EXPECT_EQ(other.out(), "") << "rank 0 alone speaks";
}

std::vector<std::string> listening(const emulation::Hosts& hosts, int host) {
  launch::Command command;
  command.argv = hosts.on(host, {"ss", "-Htln"});
  command.out = launch::Output::kCapture;
  launch::Process sockets(command);
  EXPECT_EQ(sockets.wait().code, 0);
  std::vector<std::string> addresses;
  for (const std::string& line : lines_of(sockets.out())) {
    std::istringstream fields(line);
    std::string state, receive, send, local;
    fields >> state >> receive >> send >> local;
    addresses.push_back(local.substr(0, local.rfind(':')));
  }
  return addresses;
}

// The addresses at which the command listens, its store and its ranks: so many sockets,
// once all have come.
std::vector<std::string> listening_during(const emulation::Hosts& hosts, Words command,
                                          size_t sockets) {
  command[0] = program_path(command[0]);
  launch::Command run;
  run.argv = hosts.on(0, command);
  run.err = launch::Output::kCapture;
  launch::Process process(run);
  for (int i = 0; i < 300 && listening(hosts, 0).size() < sockets; ++i) {
    if (process.wait_for(std::chrono::milliseconds(100))) {
      ADD_FAILURE() << "ended early: " << process.err();
      return {};
    }
  }
  // Whatever else a run opens it opens at its start.
  EXPECT_FALSE(process.wait_for(std::chrono::seconds(1)).has_value());
  const auto addresses = listening(hosts, 0);
  process.stop(std::chrono::seconds(10));
  return addresses;
}

TEST_F(Hosts, NothingListensBeyondLoopbackUnlessTold) {
  const std::string work =
      " --model linear --dataset features100 --epochs 1000000 --device cpu";
  for (const std::string program : {"ddp --gpus 2", "multinode -g 2"}) {
    const auto addresses =
        listening_during(*hosts_, words(program + " --backend gloo" + work), 3);
    EXPECT_GE(addresses.size(), 3u);
    for (const std::string& address : addresses) EXPECT_EQ(address, "127.0.0.1");
  }
  const auto addresses =
      listening_during(*hosts_,
                       words("multinode -g 2 --backend gloo --master-addr " +
                             emulation::Hosts::address(0) + work),
                       3);
  EXPECT_GE(addresses.size(), 3u);
  for (const auto& address : addresses)
    EXPECT_EQ(address, emulation::Hosts::address(0));
}

// The store closes when the ranks have met: what they share has no port.
TEST_F(Hosts, OverSharedMemoryNothingListensAtAll) {
  Words command = words(
      "ddp --gpus 2 --backend shm --model linear --dataset features100 --epochs "
      "1000000 "
      "--device cpu");
  command[0] = program_path(command[0]);
  launch::Command run;
  run.argv = hosts_->on(0, command);
  run.err = launch::Output::kCapture;
  launch::Process process(run);
  bool quiet = false;
  for (int i = 0; i < 300 && !quiet; ++i) {
    ASSERT_FALSE(process.wait_for(std::chrono::milliseconds(100))) << process.err();
    quiet = i > 20 && listening(*hosts_, 0).empty();
  }
  EXPECT_TRUE(quiet);
  process.stop(std::chrono::seconds(10));
}

}  // namespace
}  // namespace lockstep::equality
