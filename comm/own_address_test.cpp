// On one machine. Two machines, as network namespaces: tests/multinode_test.cpp.
#include "comm/own_address.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "shm/thread_groups.h"
#include "tests/test_folder.h"

namespace lockstep::comm {

using shm::kTestTimeout;
using shm::on_threads;
namespace {

// What each of the ranks finds that was told to meet at its host.
std::vector<std::string> addresses(const std::vector<std::string>& hosts) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::string> found(hosts.size());
  on_threads(static_cast<int>(hosts.size()), [&](int rank) {
    Meeting meeting;
    meeting.rank = rank;
    meeting.world_size = static_cast<int>(hosts.size());
    meeting.host = hosts[static_cast<size_t>(rank)];
    meeting.port = 1;
    found[static_cast<size_t>(rank)] = own_address(meeting, *store);
  });
  return found;
}

TEST(OwnAddressTest, ThroughLoopbackItIsLoopback) {
  using Found = std::vector<std::string>;
  EXPECT_EQ(addresses({"127.0.0.1", "127.0.0.1"}), (Found{"127.0.0.1", "127.0.0.1"}));
  EXPECT_EQ(addresses({"127.0.0.1"}), Found{"127.0.0.1"});
  EXPECT_EQ(addresses({"10.255.255.1"}), Found{"127.0.0.1"}) << "alone, nobody comes";
}

TEST(OwnAddressTest, WhoListensEverywhereGoesByWhatTheOthersSay) {
  using Found = std::vector<std::string>;
  EXPECT_EQ(addresses({"0.0.0.0", "0.0.0.0"}), (Found{"127.0.0.1", "127.0.0.1"}));
  const Found found = addresses({"0.0.0.0", "127.0.0.2", "0.0.0.0"});
  EXPECT_EQ(found[0], "127.0.0.1") << "nobody came from outside";
  EXPECT_EQ(found[2], "127.0.0.1");
}

TEST(OwnAddressTest, LoopbackBesideRanksFromOutsideIsAMistake) {
  try {
    addresses({"127.0.0.1", "192.0.2.7"});
    FAIL() << "found";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()),
              "rank 0 meets at 127.0.0.1, which others know as 192.0.2.7; give it that "
              "address, too");
  }
}

TEST(OwnAddressTest, InterfacesAreFoundByTheirAddress) {
  EXPECT_EQ(interface_of("127.0.0.1"), "lo");
  EXPECT_EQ(interface_of("192.0.2.7"), "");
}

TEST(OwnAddressTest, AHostThatDoesNotResolveIsNamed) {
  try {
    addresses({"no-such-host.invalid", "no-such-host.invalid"});
    FAIL() << "found";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("the master address no-such-host", 0), 0u)
        << error.what();
  }
}

TEST(OwnAddressTest, RanksOfOneMachineMeetInAFileThatGoesWithThem) {
  const TestFolder folder;
  on_threads(3, [&](int rank) {
    Meeting meeting;
    meeting.rank = rank;
    meeting.world_size = 3;
    meeting.file = folder / "job";
    meeting.timeout = kTestTimeout;
    const auto store = meet(meeting);
    const std::string address = own_address(meeting, *store);
    EXPECT_EQ(address, "127.0.0.1");
    const auto group = make_gloo(store, rank, 3, address, kTestTimeout);
    const at::Tensor sum = at::full({3}, rank);
    group->all_reduce(sum).wait();
    EXPECT_EQ(sum.sum().item<int64_t>(), 9);
  });
  EXPECT_EQ(folder.names(), std::vector<std::string>{});
}

TEST(OwnAddressTest, AFileThatCannotBeWrittenIsNamed) {
  Meeting meeting;
  meeting.file = "/no/such/folder/job";
  try {
    meet(meeting);
    FAIL() << "met";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(
        std::string(error.what()),
        "--init-method file:///no/such/folder/job cannot be written: No such file "
        "or directory; give a path that every rank may write");
  }
}

}  // namespace
}  // namespace lockstep::comm
