// Ranks started by hand of which one never comes, or dies before all have met: the
// others end and say who; and nodes that would meet nobody. (Who dies later:
// kill_test.cpp.)
#include <signal.h>

#include <functional>
#include <memory>
#include <thread>

#include "emulation/hosts.h"
#include "launch/listener.h"
#include "tests/program_run.h"

namespace lockstep {
namespace {

std::unique_ptr<ProgramRun> start_rank(int rank, int world_size,
                                       const std::string& method,
                                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"--rank",        std::to_string(rank),
                                        "--world-size",  std::to_string(world_size),
                                        "--init-method", method,
                                        "--gpus",        std::to_string(world_size),
                                        "--model",       "linear",
                                        "--dataset",     "features100",
                                        "--device",      "cpu",
                                        "--quiet"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return std::make_unique<ProgramRun>("multinode", arguments);
}

int free_port() { return launch::Listener().port(); }

// Until it is so; a minute at most.
void await(const std::function<bool()>& so) {
  for (int i = 0; i < 6000 && !so(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_TRUE(so());
}

// Connections that the one who listens at the port has, as the kernel lists them.
int connections(int port) {
  int found = 0;
  for (const std::string& line : lines_of(read_text("/proc/net/tcp"))) {
    std::istringstream fields(line);
    std::string slot, local, remote, state;
    fields >> slot >> local >> remote >> state;
    const size_t colon = local.find(':');
    if (state != "01" || colon == std::string::npos) continue;  // 01: established
    if (std::stoi(local.substr(colon + 1), nullptr, 16) == port) ++found;
  }
  return found;
}

TEST(Meeting, WhoDidNotComeIsNamed) {
  const std::string place = "127.0.0.1:" + std::to_string(free_port());
  std::vector<std::unique_ptr<ProgramRun>> runs;
  for (const int rank : {0, 1, 3}) {
    runs.push_back(start_rank(rank, 4, "tcp://" + place, {"--timeout", "4"}));
  }
  for (const auto& run : runs) {
    expect_refusal(*run, 1,
                   {"waited 4 s for rank 2 of 4 at " + place + "; came: 0, 1, 3"});
  }
}

TEST(Meeting, WhoCameAndWasKilledIsNamed) {
  const TestFolder folder;
  const std::string file = folder / "job";
  const auto first = start_rank(0, 3, "file://" + file);
  const auto victim = start_rank(1, 3, "file://" + file);
  await([&] {
    const std::string keys = read_text(file);
    return keys.find("came/0") != std::string::npos &&
           keys.find("came/1") != std::string::npos;
  });
  victim->process().send_signal(SIGKILL);
  expect_refusal(*first, 1,
                 {"rank 1 came and has gone; waited in vain for rank 2 of 3"});
}

TEST(Meeting, RankZeroThatWasKilledIsNamed) {
  const int port = free_port();
  const std::string place = "127.0.0.1:" + std::to_string(port);
  const auto victim = start_rank(0, 3, "tcp://" + place);
  const auto other = start_rank(1, 3, "tcp://" + place);
  await([&] { return connections(port) == 2; });
  victim->process().send_signal(SIGKILL);
  expect_refusal(*other, 1, {"the store at " + place, "has rank 0 gone?"});
}

TEST(Meeting, DifferentWorldSizesAreToldToBoth) {
  const std::string place = "127.0.0.1:" + std::to_string(free_port());
  const auto first = start_rank(0, 3, "tcp://" + place);
  const auto other = start_rank(1, 2, "tcp://" + place);
  for (const auto& run : {first.get(), other.get()}) {
    expect_refusal(*run, 1,
                   {"rank 0 (pid " + std::to_string(first->process().pid()),
                    "rank 1 (pid " + std::to_string(other->process().pid()),
                    "a world size of ", "one of ", "; came: 0, 1"});
  }
}

// Those that have met train on.
TEST(Meeting, WhoComesAfterAllHaveMetIsRefused) {
  const int port = free_port();
  const std::string method = "tcp://127.0.0.1:" + std::to_string(port);
  const std::vector<std::string> forever = {"--backend", "gloo", "--epochs", "1000000"};
  const auto first = start_rank(0, 2, method, forever);
  const auto second = start_rank(1, 2, method, forever);
  for (const auto& run : {first.get(), second.get()}) {
    await([&] { return has_thread(run->process().pid(), "watch"); });
  }
  const auto late = start_rank(1, 2, method, forever);
  expect_refusal(*late, 1,
                 {"all ranks have met already at 127.0.0.1:", "rank 1 (pid "});
  for (const auto& run : {first.get(), second.get()}) {
    EXPECT_FALSE(run->process().wait_for(std::chrono::milliseconds(0)).has_value());
  }
}

TEST(Meeting, RankZeroThatNeverCameIsNamed) {
  const std::string place = "127.0.0.1:" + std::to_string(free_port());
  const auto other = start_rank(1, 3, "tcp://" + place, {"--timeout", "1"});
  expect_refusal(*other, 1, {"rank 1 of 3 met nobody at " + place});
}

// 127.0.0.1 on node 0 of two, the tutorials' mistake: nobody would come.
TEST(Meeting, NodesOnTheirLoopbacksAreToldAnAddressToUse) {
  const std::string reason = emulation::Hosts::cannot();
  if (!reason.empty()) {
    std::printf("WAIVED: tests/meeting (two hosts): %s\n", reason.c_str());
    GTEST_SKIP() << "waived: no two hosts here";
  }
  const emulation::Hosts hosts(2);
  for (const int node : {0, 1}) {
    const emulation::Hosts::Words words =
        hosts.on(node, {program_path("multinode"), "-n", "2", "-nr",
                        std::to_string(node), "--master-addr", "127.0.0.1",
                        "--master-port", "29500", "--device", "cpu"});
    ProgramRun run("/usr/bin/" + words[0], {words.begin() + 1, words.end()});
    expect_refusal(run, 2,
                   {"multinode: --nodes 2 would meet at --master-addr 127.0.0.1",
                    (node == 0 ? ", here " : ", not this one's (") +
                        emulation::Hosts::address(node)});
  }
}

}  // namespace
}  // namespace lockstep
