#include "launch/init_method.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace lockstep::launch {
namespace {

using Kind = InitMethod::Kind;

TEST(InitMethodTest, TheThreeForms) {
  EXPECT_EQ(parse_init_method("env://").kind, Kind::env);

  const InitMethod tcp = parse_init_method("tcp://10.1.1.20:23456");
  EXPECT_EQ(tcp.kind, Kind::tcp);
  EXPECT_EQ(tcp.host, "10.1.1.20");
  EXPECT_EQ(tcp.port, 23456);
  EXPECT_EQ(parse_init_method("tcp://node-1.example.org:1").host, "node-1.example.org");
  EXPECT_EQ(parse_init_method("tcp://[::1]:65535").host, "::1");

  const InitMethod file = parse_init_method("file:///shared/job 7");
  EXPECT_EQ(file.kind, Kind::file);
  EXPECT_EQ(file.path, "/shared/job 7");
}

TEST(InitMethodTest, WhatIsNoneOfThemIsQuotedWithAWayOut) {
  for (const char* bad :
       {"", "env", "env://x", "tcp://", "tcp://host", "tcp://host:", "tcp://:80",
        "tcp://host:0", "tcp://host:65536", "tcp://host:80x", "tcp://host: 80",
        "tcp://host:80/path", "tcp://host:80?rank=0", "file://", "file:///",
        "file://shared/file", "udp://host:80", "mpi://", "TCP://host:80"}) {
    try {
      parse_init_method(bad);
      ADD_FAILURE() << bad << " was taken";
    } catch (const std::invalid_argument& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(std::string("--init-method ") + bad + ": "),
                std::string::npos)
          << message;
      EXPECT_NE(message.find("tcp://HOST:PORT"), std::string::npos) << message;
    }
  }
}

}  // namespace
}  // namespace lockstep::launch
