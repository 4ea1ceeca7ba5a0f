#include "launch/place.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

namespace lockstep::launch {
namespace {

const Environment kNobody;

std::string refusal(const PlaceOptions& options, const Environment& environment = {},
                    const std::vector<std::string>& own_addresses = {}) {
  try {
    place_of(options, environment, own_addresses);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "taken";
}

TEST(PlaceTest, AloneOnOneMachineRanksAreStartedAtAnyPort) {
  PlaceOptions options;
  options.ranks_per_node = 4;
  const Place place = place_of(options, kNobody);
  EXPECT_TRUE(place.starts_ranks);
  EXPECT_EQ(to_environment(place.world), to_environment(on_one_machine(4)));
}

// The tutorials' `-n 3 -g 4 -nr 2`: ranks 8 to 11.
TEST(PlaceTest, EveryNodeStartsItsOwnRanks) {
  PlaceOptions options;
  options.nodes = 3;
  options.node_rank = 2;
  options.ranks_per_node = 4;
  options.master_addr = "10.0.0.1";
  options.master_port = 29500;
  const Place place = place_of(options, kNobody);
  EXPECT_TRUE(place.starts_ranks);
  EXPECT_EQ(place.world.rank, 8);
  EXPECT_EQ(place.world.local_rank, 0);
  EXPECT_EQ(place.world.node_rank, 2);
  EXPECT_EQ(place.world.world_size, 12);
  EXPECT_EQ(place.world.local_world_size, 4);
  EXPECT_EQ(place.world.master_addr, "10.0.0.1");
  EXPECT_EQ(place.world.master_port, 29500);
}

TEST(PlaceTest, OneRankByHandFillsOneNodeAfterTheOther) {
  PlaceOptions options;
  options.rank = 5;
  options.world_size = 6;
  options.ranks_per_node = 2;
  options.init_method = "tcp://10.1.1.20:23456";
  const Place place = place_of(options, kNobody);
  EXPECT_FALSE(place.starts_ranks);
  EXPECT_EQ(place.world.rank, 5);
  EXPECT_EQ(place.world.local_rank, 1);
  EXPECT_EQ(place.world.node_rank, 2);
  EXPECT_EQ(place.world.local_world_size, 2);
  EXPECT_EQ(place.world.master_addr, "10.1.1.20");
  EXPECT_EQ(place.world.master_port, 23456);
}

TEST(PlaceTest, ALaunchersRanksAreTakenAsTheyAre) {
  const Environment torchrun = {{"RANK", "3"},
                                {"LOCAL_RANK", "1"},
                                {"GROUP_RANK", "1"},
                                {"WORLD_SIZE", "4"},
                                {"LOCAL_WORLD_SIZE", "2"},
                                {"MASTER_ADDR", "node-0"},
                                {"MASTER_PORT", "29400"},
                                {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                {"TORCHELASTIC_RESTART_COUNT", "2"}};
  PlaceOptions options;
  options.ranks_per_node = 7;  // not asked: the launcher knows
  options.master_port = 1;
  Place place = place_of(options, torchrun);
  EXPECT_FALSE(place.starts_ranks);
  EXPECT_EQ(place.world.rank, 3);
  EXPECT_EQ(place.world.local_world_size, 2);
  EXPECT_EQ(place.world.master_addr, "node-0");
  EXPECT_EQ(place.world.master_port, 29400);
  EXPECT_TRUE(place.world.agent_hosts_store);
  EXPECT_EQ(place.world.attempt, 2);

  options.init_method = "tcp://10.0.0.1:5";
  place = place_of(options, torchrun);
  EXPECT_EQ(place.world.master_addr, "10.0.0.1");
  EXPECT_EQ(place.world.master_port, 5);
  EXPECT_FALSE(place.world.agent_hosts_store) << "the agent's is at another place";

  const Environment bare = {{"RANK", "1"}, {"WORLD_SIZE", "2"}};
  EXPECT_EQ(place_of(options, bare).world.master_port, 5) << "who needs MASTER_PORT";
  EXPECT_EQ(refusal({}, bare).rfind("WORLD_SIZE=2 but MASTER_PORT is not set", 0), 0u);

  options.rank = 3;
  EXPECT_EQ(refusal(options, torchrun), "taken");
  options.rank = 2;
  EXPECT_EQ(refusal(options, torchrun),
            "--rank 2 but RANK=3 in the environment; leave one of them out");
}

TEST(PlaceTest, OverAFileThereIsNoPort) {
  PlaceOptions options;
  options.nodes = 2;
  options.init_method = "file:///shared/job";
  const Place place = place_of(options, kNobody);
  EXPECT_EQ(place.world.store_file, "/shared/job");
}

// A tutorial's program sets os.environ['MASTER_ADDR'] and nothing else.
TEST(PlaceTest, MasterOfOptionsGoesBeforeThatOfTheEnvironment) {
  const Environment environment = {{"MASTER_ADDR", "10.57.23.164"},
                                   {"MASTER_PORT", "8888"}};
  PlaceOptions options;
  options.nodes = 2;
  EXPECT_EQ(place_of(options, environment).world.master_addr, "10.57.23.164");
  EXPECT_EQ(place_of(options, environment).world.master_port, 8888);
  options.master_addr = "10.0.0.1";
  options.master_port = 1234;
  EXPECT_EQ(place_of(options, environment).world.master_addr, "10.0.0.1");
  EXPECT_EQ(place_of(options, environment).world.master_port, 1234);
}

TEST(PlaceTest, NodesThatWouldMeetOnLoopbackAreToldAnAddress) {
  PlaceOptions options;
  options.nodes = 2;
  options.master_port = 29600;
  EXPECT_EQ(refusal(options),
            "--nodes 2 would meet at 127.0.0.1, which is each machine by itself; give "
            "all of them --master-addr with node 0's address; for 2 nodes of one "
            "machine --init-method tcp://127.0.0.1:29600");
  EXPECT_EQ(
      refusal(options, {{"MASTER_ADDR", "localhost"}}, {"10.0.0.1", "10.0.0.2"}),
      "--nodes 2 would meet at localhost, which is each machine by itself; give all of "
      "them --master-addr with node 0's address, here 10.0.0.1 or 10.0.0.2; for 2 "
      "nodes "
      "of one machine --init-method tcp://127.0.0.1:29600");
  options.node_rank = 1;
  for (const std::string address : {"127.0.0.1", "127.0.1.1", "::1", "localhost"}) {
    options.master_addr = address;
    EXPECT_EQ(refusal(options, {}, {"10.0.0.2"}),
              "--nodes 2 would meet at --master-addr " + address +
                  ", which is each machine by itself; give all of them --master-addr "
                  "with node 0's address, not this one's (10.0.0.2); for 2 nodes of "
                  "one machine --init-method tcp://127.0.0.1:29600");
  }
  options.init_method = "tcp://127.0.0.1:29600";
  EXPECT_EQ(refusal(options), "taken");
  options.init_method = "file:///shared/job";
  EXPECT_EQ(refusal(options), "taken");
  options.init_method = "env://";
  options.master_addr = "0.0.0.0";
  EXPECT_EQ(refusal(options), "taken") << "rank 0's machine may say so";
  options.node_rank = 0;
  options.master_addr = "127.0.0.1";
  options.nodes = 1;
  EXPECT_EQ(refusal(options), "taken");
  // A launcher knows its machines.
  EXPECT_EQ(refusal({}, {{"RANK", "1"},
                         {"WORLD_SIZE", "2"},
                         {"MASTER_ADDR", "127.0.0.1"},
                         {"MASTER_PORT", "29600"}}),
            "taken");
}

TEST(PlaceTest, AJobIsDrawn) {
  PlaceOptions options;
  options.nodes = 2;
  options.node_rank = 1;
  options.ranks_per_node = 2;
  options.master_addr = "10.1.1.20";
  options.master_port = 29500;
  EXPECT_EQ(drawing(place_of(options, kNobody).world),
            "world size 4 = 2 nodes x 2 ranks; they meet at 10.1.1.20:29500, where "
            "rank 0 hosts the store\n"
            "  node 0:  rank 0 (local rank 0)  rank 1 (local rank 1)\n"
            "* node 1:  rank 2 (local rank 0)  rank 3 (local rank 1)\n"
            "* started here\n");
  options.nodes = 1000;
  options.node_rank = 500;
  options.ranks_per_node = 64;
  const std::string large = drawing(place_of(options, kNobody).world);
  EXPECT_EQ(std::count(large.begin(), large.end(), '\n'), 1 + 4 + 1 + 1 + 4 + 1);
  EXPECT_NE(large.find("* node 500:  rank 32000 (local rank 0)"), std::string::npos);
  EXPECT_NE(large.find("rank 63999 (local rank 63)\n* started"), std::string::npos);
}

TEST(PlaceTest, WhatCannotBeIsOneLine) {
  PlaceOptions options;
  options.nodes = 0;
  EXPECT_EQ(refusal(options), "--nodes 0: must be 1 to 100000");
  options.nodes = 1073741824;
  EXPECT_EQ(refusal(options), "--nodes 1073741824: must be 1 to 100000");
  options.nodes = 2;
  options.master_addr = "10.0.0.1";
  EXPECT_EQ(refusal(options),
            "2 ranks meet at a port that all of them know; give --master-port, or "
            "--init-method tcp://HOST:PORT");
  options.master_port = 29500;
  EXPECT_EQ(refusal(options), "taken");
  options.node_rank = 2;
  EXPECT_EQ(refusal(options), "--node-rank 2: must be 0 to 1, below --nodes 2");
  options.node_rank = -1;
  EXPECT_EQ(refusal(options), "--node-rank -1: must be 0 to 1, below --nodes 2");

  PlaceOptions by_hand;
  by_hand.rank = 0;
  EXPECT_EQ(refusal(by_hand),
            "--rank 0 without --world-size; give both, or --nodes and --node-rank");
  by_hand.world_size = 2;
  EXPECT_EQ(refusal(by_hand).rfind("2 ranks meet at a port", 0), 0u);
  by_hand.master_port = 29500;
  EXPECT_EQ(refusal(by_hand), "taken");
  by_hand.rank = 2;
  EXPECT_EQ(refusal(by_hand), "--rank 2: must be 0 to 1, below --world-size 2");
  by_hand.rank.reset();
  EXPECT_EQ(refusal(by_hand),
            "--world-size 2 without --rank; give both, or --nodes and --node-rank");
  by_hand.world_size = 0;
  by_hand.rank = 0;
  EXPECT_EQ(refusal(by_hand), "--world-size 0: must be 1 or more");
}

}  // namespace
}  // namespace lockstep::launch
