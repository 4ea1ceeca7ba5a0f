#include "launch/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <stdexcept>

namespace lockstep::launch {
namespace {

Environment torchrun() {
  return {{"RANK", "5"},
          {"LOCAL_RANK", "1"},
          {"WORLD_SIZE", "8"},
          {"LOCAL_WORLD_SIZE", "4"},
          {"GROUP_RANK", "1"},
          {"MASTER_ADDR", "node7"},
          {"MASTER_PORT", "29500"},
          {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
}

std::string refusal(const Environment& environment) {
  try {
    world_from(environment);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

// torchrun's environment with one value changed.
std::string refusal(const std::string& name, const std::string& value) {
  Environment environment = torchrun();
  environment[name] = value;
  return refusal(environment);
}

void expect_names(const std::string& message,
                  std::initializer_list<const char*> parts) {
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  for (const char* part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
  }
}

TEST(EnvironmentTest, ReadsWhatTorchrunWrites) {
  auto world = world_from(torchrun());
  ASSERT_TRUE(world);
  EXPECT_EQ(world->rank, 5);
  EXPECT_EQ(world->local_rank, 1);
  EXPECT_EQ(world->node_rank, 1);
  EXPECT_EQ(world->world_size, 8);
  EXPECT_EQ(world->local_world_size, 4);
  EXPECT_EQ(world->master_addr, "node7");
  EXPECT_EQ(world->master_port, 29500);
  EXPECT_TRUE(world->agent_hosts_store);
  EXPECT_EQ(world->store_fd, -1);
}

TEST(EnvironmentTest, NoLauncherNoWorld) {
  EXPECT_FALSE(world_from({}));
  EXPECT_FALSE(world_from({{"MASTER_PORT", "nonsense"}, {"LOCAL_RANK", "3"}}));
}

TEST(EnvironmentTest, AbsentLocalNamesMeanOneMachine) {
  auto world = world_from({{"RANK", "1"},
                           {"WORLD_SIZE", "2"},
                           {"MASTER_ADDR", "::1"},
                           {"MASTER_PORT", "1"}});
  ASSERT_TRUE(world);
  EXPECT_EQ(world->local_rank, 1);
  EXPECT_EQ(world->local_world_size, 2);
  EXPECT_EQ(world->node_rank, 0);
  EXPECT_FALSE(world->agent_hosts_store);
}

TEST(EnvironmentTest, OneRankNeedsNoMeetingPlace) {
  auto world = world_from({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  ASSERT_TRUE(world);
  EXPECT_EQ(world->master_addr, "127.0.0.1");
  EXPECT_EQ(world->master_port, 0);
}

TEST(EnvironmentTest, WritingAndReadingGiveTheSameWorld) {
  World world;
  world.rank = 6;
  world.local_rank = 2;
  world.node_rank = 1;
  world.world_size = 8;
  world.local_world_size = 4;
  world.master_addr = "10.0.0.1";
  world.master_port = 65535;
  world.store_fd = 7;
  world.agent_hosts_store = true;
  Environment environment = to_environment(world);
  auto again = world_from(environment);
  ASSERT_TRUE(again);
  EXPECT_EQ(to_environment(*again), environment);
  EXPECT_EQ(again->store_fd, 7);
  EXPECT_EQ(again->rank, 6);
  EXPECT_TRUE(again->agent_hosts_store);

  auto alone = world_from(to_environment(World{}));
  ASSERT_TRUE(alone);
  EXPECT_EQ(to_environment(*alone), to_environment(World{}));
}

TEST(EnvironmentTest, ContradictionsNameTheirValues) {
  expect_names(refusal("RANK", "8"), {"RANK=8", "WORLD_SIZE=8", "0 to 7"});
  expect_names(refusal("LOCAL_RANK", "4"), {"LOCAL_RANK=4", "LOCAL_WORLD_SIZE=4"});
  expect_names(refusal("LOCAL_WORLD_SIZE", "9"), {"LOCAL_WORLD_SIZE", "WORLD_SIZE=8"});
  expect_names(refusal("GROUP_RANK", "8"), {"GROUP_RANK=8", "WORLD_SIZE=8"});
  expect_names(refusal("WORLD_SIZE", "0"), {"WORLD_SIZE=\"0\""});
  expect_names(refusal("RANK", "-1"), {"RANK=\"-1\""});
  expect_names(refusal("MASTER_PORT", "65536"), {"MASTER_PORT=\"65536\"", "1..65535"});
  expect_names(refusal("MASTER_PORT", "0"), {"MASTER_PORT=\"0\""});
  expect_names(refusal("TORCHELASTIC_USE_AGENT_STORE", "maybe"), {"maybe", "unset"});
  expect_names(refusal("LOCKSTEP_STORE_FD", "-2"), {"LOCKSTEP_STORE_FD=\"-2\""});
}

TEST(EnvironmentTest, OnlyWholeNumbersAreNumbers) {
  for (const char* text :
       {"", " 2", "2 ", "2x", "0x2", "+2", "2.0", "two", "99999999999999999999", "-"}) {
    expect_names(refusal("RANK", text), {"RANK=\"", text, "whole number", "unset"});
  }
}

TEST(EnvironmentTest, HalfAPairIsRefused) {
  expect_names(refusal({{"RANK", "3"}}), {"RANK=\"3\"", "set WORLD_SIZE"});
  expect_names(refusal({{"WORLD_SIZE", "2"}}), {"WORLD_SIZE=\"2\"", "set RANK"});
  expect_names(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}}),
               {"WORLD_SIZE=2", "MASTER_PORT", "nowhere to meet"});
  expect_names(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "1"}}),
               {"WORLD_SIZE=2", "MASTER_ADDR is not set"});
}

TEST(EnvironmentTest, RandomValuesAreReadOrRefusedInOneLine) {
  std::mt19937 random(0);
  const std::string letters = "0123456789-+ xT\n\x80";
  for (int i = 0; i < 20000; ++i) {
    Environment environment = torchrun();
    for (auto& entry : environment) {
      if (random() % 4 != 0) continue;
      entry.second.clear();
      for (size_t n = random() % 4; n > 0; --n) {
        entry.second += letters[random() % letters.size()];
      }
    }
    try {
      auto world = world_from(environment);
      ASSERT_TRUE(world);
      EXPECT_LT(world->rank, world->world_size);
      EXPECT_LT(world->local_rank, world->local_world_size);
      EXPECT_LE(world->local_world_size, world->world_size);
      EXPECT_GE(world->rank, 0);
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
}

TEST(EnvironmentTest, CurrentEnvironmentKeepsEqualsSigns) {
  setenv("LOCKSTEP_TEST_VALUE", "a=b=", 1);
  EXPECT_EQ(current_environment().at("LOCKSTEP_TEST_VALUE"), "a=b=");
  unsetenv("LOCKSTEP_TEST_VALUE");
  EXPECT_EQ(current_environment().count("LOCKSTEP_TEST_VALUE"), 0u);
}

}  // namespace
}  // namespace lockstep::launch
