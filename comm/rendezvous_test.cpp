#include "comm/rendezvous.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <csignal>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "comm/roll_call.h"
#include "launch/listener.h"
#include "shm/thread_groups.h"
#include "tests/own_threads.h"
#include "tests/test_folder.h"

namespace lockstep::comm {

using shm::GroupPtr;
using shm::kTestTimeout;
using shm::on_threads;
namespace {

Meeting meeting_of(int rank, int world_size, const launch::Listener& listener) {
  Meeting meeting;
  meeting.rank = rank;
  meeting.world_size = world_size;
  meeting.port = listener.port();
  meeting.timeout = kTestTimeout;
  return meeting;
}

GroupPtr join(const Meeting& meeting) {
  return make_gloo(meet(meeting), meeting.rank, meeting.world_size, "127.0.0.1",
                   kTestTimeout);
}

// The ranks of one job meet at the listener's port.
void on_meeting_ranks(int world_size, const std::function<void(GroupPtr&)>& work) {
  launch::Listener listener;
  on_threads(world_size, [&](int rank) {
    Meeting meeting = meeting_of(rank, world_size, listener);
    if (rank == 0) meeting.listen_fd = listener.release();
    GroupPtr group = join(meeting);
    work(group);
  });
}

TEST(RendezvousTest, RankZeroHostsTheStore) {
  on_meeting_ranks(3, [](GroupPtr& group) {
    const at::Tensor sum = torch::full({3}, group->rank());
    group->all_reduce(sum).wait();
    EXPECT_TRUE(sum.equal(torch::full({3}, 3)));
  });
}

TEST(RendezvousTest, ALauncherMayHostTheStore) {
  launch::Listener listener;
  Meeting agents = meeting_of(0, 1, listener);
  agents.listen_fd = listener.release();
  agents.attempt = 1;  // its keys are not the ranks'
  const auto agent = meet(agents);
  on_threads(3, [&](int rank) {
    Meeting meeting = meeting_of(rank, 3, listener);
    meeting.host_store = false;
    const GroupPtr group = join(meeting);
    const at::Tensor sum = torch::full({3}, rank);
    group->all_reduce(sum).wait();
    EXPECT_TRUE(sum.equal(torch::full({3}, 3)));
  });
}

bool blocks_sigpipe(const std::string& task) {
  std::ifstream status(task + "/status");
  std::string word;
  while (status >> word && word != "SigBlk:") continue;
  uint64_t mask = 0;
  status >> std::hex >> mask;
  return (mask >> (SIGPIPE - 1) & 1) == 1;
}

// Of a write to a rank that has gone, which no test can time, they would die.
TEST(RendezvousTest, NoThreadOfLibTorchsDiesOfSigpipe) {
  const std::set<std::string> before = own_threads();
  launch::Listener listener;
  Meeting meeting = meeting_of(0, 1, listener);
  meeting.listen_fd = listener.release();
  const GroupPtr group = join(meeting);
  const std::set<std::string> started = threads_since(before);
  for (const std::string& thread : started) {
    EXPECT_TRUE(blocks_sigpipe(thread)) << thread;
  }
  EXPECT_GE(started.size(), 3u) << "the store's daemon, gloo's loop and a worker";
  EXPECT_FALSE(blocks_sigpipe("/proc/thread-self")) << "its own mask is as it was";
}

// LibTorch's own store would listen everywhere, and it has no authentication.
TEST(RendezvousTest, TheStoreListensOnLoopbackAlone) {
  on_meeting_ranks(
      1, [](GroupPtr&) {});  // warms LibTorch up: what follows is the store's alone
  launch::Listener listener;
  const int port = listener.port();
  Meeting meeting = meeting_of(0, 1, listener);
  meeting.listen_fd = listener.release();
  const auto store = meet(meeting);
  store->set("key", "value");
  std::vector<std::string> addresses;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    while (std::getline(file, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state;
      fields >> slot >> local >> remote >> state;
      const size_t colon = local.find(':');
      if (state != "0A" || colon == std::string::npos) continue;  // 0A: listening
      if (std::stoi(local.substr(colon + 1), nullptr, 16) == port) {
        addresses.push_back(local.substr(0, colon));
      }
    }
  }
  EXPECT_EQ(addresses, std::vector<std::string>{"0100007F"});  // 127.0.0.1
}

TEST(RendezvousTest, NobodyThereIsNamed) {
  int port = 0;
  { port = launch::Listener().port(); }  // free again
  Meeting meeting;
  meeting.rank = 1;
  meeting.world_size = 2;
  meeting.port = port;
  meeting.timeout = std::chrono::seconds(1);
  try {
    meet(meeting);
    FAIL() << "met somebody";
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.rfind("rank 1 of 2 met nobody at 127.0.0.1:" +
                                std::to_string(port) + "; are all ranks started? (",
                            0),
              0U)
        << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  meeting.rank = 0;
  EXPECT_THROW(meet(meeting), std::invalid_argument)
      << "no socket to host the store on";
}

// Whoever holds the port: another service, or a rank 0 that was stopped.
// The next job would take it for its own.
TEST(RendezvousTest, AFileWhereNotAllMetIsRemoved) {
  const TestFolder folder;
  const auto in_file = [&](int rank, std::chrono::milliseconds timeout) {
    Meeting meeting;
    meeting.rank = rank;
    meeting.world_size = 2;
    meeting.file = folder / "job";
    meeting.timeout = timeout;
    return meeting;
  };
  EXPECT_THROW(meet(in_file(0, std::chrono::milliseconds(200))), NotAllCame);
  EXPECT_TRUE(folder.names().empty()) << folder.names().front();
  std::thread other([&] { meet(in_file(1, std::chrono::seconds(30))); });
  EXPECT_NO_THROW(meet(in_file(0, std::chrono::seconds(30))));
  other.join();
  EXPECT_TRUE(folder.names().empty()) << folder.names().front();
}

TEST(RendezvousTest, SomebodyThereWhoDoesNotAnswerIsNotWaitedForLonger) {
  const launch::Listener mute;
  Meeting meeting = meeting_of(1, 2, mute);
  meeting.timeout = std::chrono::seconds(1);
  try {
    meet(meeting);
    FAIL() << "met somebody";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()),
              "rank 1 of 2 met nobody at 127.0.0.1:" + std::to_string(mute.port()) +
                  "; are all ranks started? (somebody listens there, and does not "
                  "answer)");
  }
}

}  // namespace
}  // namespace lockstep::comm
