#include "emulation/hosts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "emulation/processors.h"

namespace lockstep::emulation {
namespace {

using Words = Hosts::Words;

launch::Command captured(const Words& words) {
  launch::Command command;
  command.argv = words;
  command.out = command.err = launch::Output::kCapture;
  return command;
}

// 4 MB from a process on one host to one on another.
constexpr const char* kReceive =
    "import socket\n"
    "listener = socket.create_server(('0.0.0.0', 7000))\n"
    "print('listening', flush=True)\n"
    "peer, address = listener.accept()\n"
    "got = 0\n"
    "while piece := peer.recv(1 << 16): got += len(piece)\n"
    "print(address[0], got)\n";

std::string send_to(const std::string& address) {
  return "import socket\n"
         "socket.create_connection(('" +
         address + "', 7000), 10).sendall(bytes(4000000))\n";
}

class EmulatedHosts : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = Hosts::cannot();
    if (reason.empty()) return;
    std::printf("WAIVED: emulation/hosts: %s\n", reason.c_str());
    GTEST_SKIP() << reason;
  }
};

TEST_F(EmulatedHosts, HaveProcessorsOfTheirOwnWhereAskedFor) {
  const Hosts hosts(2);
  for (const int host : {0, 1}) {
    launch::Process told(captured(hosts.on_its_processors(host, {"nproc"})));
    ASSERT_EQ(told.wait().code, 0) << told.err();
    const std::string own = share_of(host, 2, processors());
    const auto expected =
        own.empty() ? processors().size() : 1 + std::count(own.begin(), own.end(), ',');
    EXPECT_EQ(told.out(), std::to_string(expected) + "\n");
  }
}

TEST_F(EmulatedHosts, ReachEachOtherAtTheRateThatIsAskedFor) {
  const Hosts hosts(3, "300mbit");
  EXPECT_EQ(hosts.count(), 3);
  for (const int host : {0, 2}) {
    launch::Process shown(
        captured(hosts.on(host, {"tc", "qdisc", "show", "dev", "cable"})));
    ASSERT_EQ(shown.wait().code, 0);
    EXPECT_NE(shown.out().find("rate 300Mbit"), std::string::npos) << shown.out();
  }
  launch::Process to(captured(hosts.on(2, {"/usr/bin/python3", "-c", kReceive})));
  while (to.out().empty()) {
    ASSERT_FALSE(to.wait_for(std::chrono::milliseconds(10))) << to.err();
  }
  launch::Process from(
      captured(hosts.on(0, {"/usr/bin/python3", "-c", send_to(Hosts::address(2))})));
  EXPECT_EQ(from.wait().code, 0) << from.err();
  EXPECT_EQ(to.wait().code, 0) << to.err();
  EXPECT_EQ(to.out(), "listening\n" + Hosts::address(0) + " 4000000\n");
}

TEST_F(EmulatedHosts, HaveANetworkOfTheirOwn) {
  const Hosts hosts(1);
  launch::Process shown(captured(hosts.on(0, {"ip", "-o", "-4", "addr"})));
  ASSERT_EQ(shown.wait().code, 0);
  EXPECT_NE(shown.out().find(Hosts::address(0)), std::string::npos) << shown.out();
  launch::Process outside(captured({"ip", "-o", "-4", "addr"}));
  ASSERT_EQ(outside.wait().code, 0);
  EXPECT_EQ(outside.out().find(Hosts::address(0)), std::string::npos) << outside.out();
}

TEST_F(EmulatedHosts, ARateThatIsNoneIsSaid) {
  try {
    const Hosts hosts(1, "swift");
    FAIL() << "a cable of rate swift";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("swift"), std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep::emulation
