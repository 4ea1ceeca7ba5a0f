#include "launch/host_list.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

namespace lockstep::launch {
namespace {

using Hosts = std::vector<std::string>;
using Tasks = std::vector<int>;

TEST(HostListTest, HostsInTheListsOrder) {
  EXPECT_EQ(hosts_of("vm"), (Hosts{"vm"}));
  EXPECT_EQ(hosts_of("b,a.example.org"), (Hosts{"b", "a.example.org"}));
  EXPECT_EQ(hosts_of("node[1-3,07-09],other"),
            (Hosts{"node1", "node2", "node3", "node07", "node08", "node09", "other"}));
  EXPECT_EQ(hosts_of("n[099-101]-ib"), (Hosts{"n099-ib", "n100-ib", "n101-ib"}));
  EXPECT_EQ(hosts_of("r[1-2]n[8,10]"), (Hosts{"r1n8", "r1n10", "r2n8", "r2n10"}));
  EXPECT_EQ(hosts_of("[1-2]"), (Hosts{"1", "2"}));
  EXPECT_EQ(hosts_of("node[3]"), (Hosts{"node3"}));
}

TEST(HostListTest, TasksOfEachHost) {
  EXPECT_EQ(tasks_of_hosts("4"), (Tasks{4}));
  EXPECT_EQ(tasks_of_hosts("2(x3),1"), (Tasks{2, 2, 2, 1}));
}

template <typename Function>
std::string refusal_of(Function function, const std::string& list) {
  try {
    function(list);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "taken";
}

TEST(HostListTest, WhatIsNoListIsRefusedInOneLine) {
  EXPECT_EQ(refusal_of(hosts_of, "node[3-1]"),
            "\"node[3-1]\" is no list of hosts: the range runs backwards (character "
            "9)");
  for (const char* list : {"",
                           ",",
                           "a,",
                           ",a",
                           "a,,b",
                           "node[",
                           "node[]",
                           "node[1",
                           "node[1-",
                           "node[1-]",
                           "node[-3]",
                           "node[1,]",
                           "node[x]",
                           "node[1-3]]",
                           "node]",
                           "node[1[2]]",
                           "node[1 - 3]",
                           "a b",
                           "a\nb",
                           "n[0-2000000]",
                           "n[0-999][0-999][0-9]",
                           "n[99999999999999]",
                           "n[1-2,1-999999]",
                           "(null)"}) {
    const std::string message = refusal_of(hosts_of, list);
    EXPECT_NE(message.find("is no list of hosts: "), std::string::npos) << list;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  for (const char* list : {"", "x", "2,", "2(3)", "2(x", "2(x3", "2(x3)4", "-1",
                           "2(x-1)", "1(x2000000)", "2 "}) {
    EXPECT_NE(refusal_of(tasks_of_hosts, list).find("is no list of tasks: "),
              std::string::npos)
        << list;
  }
}

TEST(HostListTest, RandomTextIsReadOrRefused) {
  std::mt19937 random(0);
  const std::string letters = "ab019[]-,(x) \n\xff";
  int taken = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string list;
    for (size_t n = random() % 9; n > 0; --n)
      list += letters[random() % letters.size()];
    try {
      for (const std::string& host : hosts_of(list)) EXPECT_FALSE(host.empty());
      ++taken;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
    try {
      tasks_of_hosts(list);
    } catch (const std::invalid_argument&) {
    }
  }
  EXPECT_GT(taken, 500);
}

}  // namespace
}  // namespace lockstep::launch
