#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <sstream>

#include "agent/command_line.h"
#include "agent/console.h"

namespace lockstep::agent {
namespace {

using Words = std::vector<std::string>;

const Machine kMachine = {4, 2, {"10.1.1.20", "192.168.7.3"}, std::nullopt};

Words words(const std::string& text) {
  std::istringstream stream(text);
  Words result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

Options parsed(const std::string& line, const Machine& machine = kMachine) {
  return parse_command_line(words(line), machine);
}

void expect_refused(const std::string& line, const std::string& words_of_it,
                    const Machine& machine = kMachine) {
  try {
    parsed(line, machine);
    ADD_FAILURE() << "accepted: " << line;
  } catch (const std::exception& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(words_of_it), std::string::npos)
        << line << "\nsaid: " << text << "\nnot: " << words_of_it;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

TEST(LaunchCommandLine, AsTheTutorialsWriteIt) {
  const Options options = parsed(
      "--nproc_per_node=2 --nnodes=2 --node_rank=1 --master_addr=10.1.1.20 "
      "--master_port=1234 --use_env train --local_rank 3 --master_addr x -t");
  EXPECT_EQ(options.nodes, 2);
  EXPECT_EQ(options.node_rank, 1);
  EXPECT_EQ(options.ranks_per_node, 2);
  EXPECT_EQ(options.master_addr, "10.1.1.20");
  EXPECT_EQ(options.master_port, 1234);
  EXPECT_EQ(options.command, words("train --local_rank 3 --master_addr x -t"));
}

TEST(LaunchCommandLine, AsTorchrunHasIt) {
  const Options options = parsed(
      "--nnodes 3:3 --nproc-per-node auto --rdzv-id 77 --rdzv-backend c10d "
      "--rdzv_endpoint 10.1.1.20:29400 --node-rank 0 --max-restarts 3 --no-python -- "
      "prog -- x");
  EXPECT_EQ(options.nodes, 3);
  EXPECT_EQ(options.ranks_per_node, kMachine.gpus);
  EXPECT_EQ(options.master_addr, "10.1.1.20");
  EXPECT_EQ(options.master_port, 29400);
  EXPECT_EQ(options.run_id, "77");
  EXPECT_EQ(options.max_restarts, 3);
  EXPECT_EQ(options.command, words("prog -- x"));
  EXPECT_EQ(parsed("--rdzv-endpoint [fd00::20]:29400 prog").master_addr, "fd00::20");
}

TEST(LaunchCommandLine, OneMachineByItself) {
  EXPECT_EQ(parsed("prog").master_port, 29500);
  EXPECT_EQ(parsed("prog").ranks_per_node, 1);
  EXPECT_EQ(parsed("--standalone prog").master_port, 0);
  EXPECT_EQ(parsed("--nproc-per-node cpu prog").ranks_per_node, kMachine.cpus);
  EXPECT_EQ(parsed("--nproc-per-node auto prog", {4, 0, {}, {}}).ranks_per_node, 4);
}

TEST(LaunchCommandLine, WhereSrunStartedItTheNodesNumberIsSlurms) {
  Machine machine = kMachine;
  machine.node_rank = 1;
  const std::string line = "--nnodes 2 --master-addr 10.1.1.20 ";
  EXPECT_EQ(parsed(line + "prog", machine).node_rank, 1);
  EXPECT_EQ(parsed(line + "--node-rank 0 prog", machine).node_rank, 0);
}

TEST(LaunchCommandLine, TorchrunsEnvironmentIsReadAndTheLineGoesBeforeIt) {
  setenv("PET_NPROC_PER_NODE", "3", 1);
  EXPECT_EQ(parsed("prog").ranks_per_node, 3);
  EXPECT_EQ(parsed("--nproc-per-node 1 prog").ranks_per_node, 1);
  unsetenv("PET_NPROC_PER_NODE");
}

TEST(LaunchCommandLine, WhereWhatARankWritesGoes) {
  const Streams none{}, both{true, true};
  Options options = parsed("--nproc-per-node 2 prog");
  EXPECT_EQ(options.to_file, (std::vector<Streams>{none, none}));
  EXPECT_EQ(options.to_console, (std::vector<Streams>{both, both}));
  options = parsed("--nproc-per-node 2 --log-dir d prog");
  EXPECT_EQ(options.to_file, (std::vector<Streams>{both, both}));
  EXPECT_EQ(options.to_console, (std::vector<Streams>{both, both}));
  options = parsed("--nproc-per-node 2 --log-dir d -r 1 -t 1:2 prog");
  EXPECT_EQ(options.to_file, (std::vector<Streams>{{true, false}, {true, true}}));
  EXPECT_EQ(options.to_console, (std::vector<Streams>{{false, true}, {false, true}}));
}

TEST(LaunchCommandLine, WhatCannotBeIsRefusedWithAWayOut) {
  expect_refused("", "no program to start; see --help");
  expect_refused("--nnodes 2", "no program");
  expect_refused("--nnodes 1:4 prog", "--nnodes 1:4: a job keeps the number");
  expect_refused("--nnodes none prog", "--nnodes none: give a number");
  expect_refused("--nproc-per-node 0 prog", "--nproc-per-node 0");
  expect_refused("--nproc-per-node gpu prog", "no GPU here", {4, 0, {}, {}});
  expect_refused("--nnodes 2 --node-rank 0 prog",
                 "cannot meet at 127.0.0.1, which every machine has for itself; give "
                 "machine 0's address as --master-addr on all of them (this one's: "
                 "10.1.1.20 or 192.168.7.3)");
  expect_refused("--nnodes 2 --node-rank 0 --master-addr localhost prog",
                 "cannot meet at localhost");
  const std::string two = "--nnodes 2 --master-addr 10.1.1.20 ";
  expect_refused(two + "prog", "without --node-rank; give each machine its number");
  expect_refused(two + "--node-rank 2 prog", "--node-rank 2 is not 0 to 1");
  expect_refused(two + "--node-rank 1 --master-port 0 prog", "give --master-port");
  expect_refused("--node-rank 1 prog", "--node-rank 1 of one machine; give --nnodes");
  expect_refused("--standalone --nnodes 2 prog", "leave --nnodes");
  expect_refused("--master-port 70000 prog", "70000");
  expect_refused("--rdzv-endpoint host:x prog", "--rdzv-endpoint host:x");
  expect_refused("--rdzv-endpoint :29400 prog", "--rdzv-endpoint :29400: give HOST");
  expect_refused("--tee 3 prog", "--log-dir DIR");
  expect_refused("--log-dir d --tee 4 prog", "--tee 4: give 0 (none)");
  expect_refused("--log-dir d --tee 1:3 prog", "--tee 1:3");
  expect_refused("--no-such-option prog", "--no-such-option");
}

}  // namespace
}  // namespace lockstep::agent
