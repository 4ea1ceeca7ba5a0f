#include "host/this_host.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace lockstep::host {
namespace {

TEST(ThisHost, HasAShortName) {
  EXPECT_NE(short_name(), "");
  EXPECT_EQ(short_name().find('.'), std::string::npos);
}

TEST(ThisHost, TellsThreadsApart) {
  EXPECT_EQ(this_process(), "pid " + std::to_string(getpid()) + " on " + short_name());
  std::string other;
  std::thread([&] { other = this_process(); }).join();
  EXPECT_NE(other, this_process());
}

TEST(ThisHost, LoopbackIsNotForOthers) {
  for (const char* host : {"localhost", "127.0.0.1", "127.0.1.1", "::1"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"10.0.0.1", "0.0.0.0", "nodeb", "::", "1.127.0.0"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
  const auto all = interfaces();
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](const Interface& one) {
    return is_loopback(one.address);
  }));
  for (const std::string& address : outside_addresses()) {
    EXPECT_FALSE(is_loopback(address)) << address;
  }
}

}  // namespace
}  // namespace lockstep::host
