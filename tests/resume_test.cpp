// Runs that stop and go on from a checkpoint, against those that never stopped: whole
// programs, as a user starts them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/listener.h"
#include "launch/process.h"
#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "unset: use ctest" : value;
}

struct Ended {
  int code = 0;
  std::string err;
};

Ended run(std::vector<std::string> argv) {
  launch::Command command;
  command.argv = std::move(argv);
  command.out = command.err = launch::Output::kCapture;
  launch::Process process(command);
  const int code = process.wait().code;
  return {code, process.err()};
}

class ResumeTest : public testing::Test {
 protected:
  std::string checkpoints(const std::string& name) const { return folder_ / name; }

  // The program with its words, keeping checkpoints under that name.
  Ended train(const std::string& line, const std::string& name) const {
    std::vector<std::string> argv;
    std::istringstream words(line);
    for (std::string word; words >> word;) argv.push_back(word);
    argv[0] = from_environment("LOCKSTEP_BIN") + "/" + argv[0];
    for (const std::string& word :
         {std::string("--quiet"), std::string("--device"), std::string("cpu"),
          std::string("--threads-per-card"), std::string("1"),
          std::string("--checkpoint"), checkpoints(name), std::string("--metrics-file"),
          folder_ / "metrics"}) {
      argv.push_back(word);
    }
    return run(argv);
  }

  // Losses by step, added to those that are there.
  void train_on(const std::string& line, const std::string& name,
                std::map<int64_t, double>& losses) const {
    const Ended ended = train(line, name);
    ASSERT_EQ(ended.code, 0) << line << ": " << ended.err;
    std::ifstream lines(folder_ / "metrics");
    for (std::string text; std::getline(lines, text);) {
      const auto json = nlohmann::json::parse(text);
      EXPECT_TRUE(losses.emplace(json.at("step"), json.at("loss")).second) << text;
    }
  }

  std::string last_of(const std::string& name) const {
    const std::string latest = read_text(checkpoints(name) + "/latest");
    return checkpoints(name) + "/" + latest.substr(0, latest.size() - 1);
  }

  TestFolder folder_;
};

class EachProgram : public ResumeTest,
                    public testing::WithParamInterface<const char*> {};

// Parameters, buffers, momentum, generators, the sampler's place: every byte.
TEST_P(EachProgram, AResumedRunIsTheOneThatNeverStopped) {
  for (const std::string& work :
       {std::string(" --model convnet --batch-size 32 --momentum 0.9 --num-workers 1"),
        // Ten or five batches an epoch, so that 10 is where one ends and 13 is inside.
        std::string(" --model linear --batch-size 820 --weight-decay 0.01")}) {
    const std::string all = GetParam() + work;
    const std::string once = "whole" + std::to_string(work.size());
    std::map<int64_t, double> whole;
    train_on(all + " --steps 20", once, whole);
    EXPECT_EQ(whole.size(), 20U);
    EXPECT_EQ(last_of(once), checkpoints(once) + "/step-00000020");
    for (const std::string stop : {"10", "13"}) {
      std::map<int64_t, double> parts;
      const std::string id = std::to_string(work.size()) + stop;
      train_on(all + " --steps " + stop, "parts" + id, parts);
      train_on(all + " --steps 20 --resume", "parts" + id, parts);
      EXPECT_EQ(parts, whole) << all << " stopped at " << stop;
      for (const char* file :
           {"manifest", "model.safetensors", "optimizer.safetensors", "state.json"}) {
        EXPECT_EQ(read_text(last_of("parts" + id) + "/" + file),
                  read_text(last_of(once) + "/" + file))
            << file;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Resume, EachProgram,
                         testing::Values("single_gpu", "data_parallel --gpus 2",
                                         "ddp --gpus 2", "multinode --gpus 2"),
                         [](const auto& info) {
                           const std::string line = info.param;
                           return line.substr(0, line.find(' '));
                         });

// The same global batches, whoever takes them.
TEST_F(ResumeTest, OneWayGoesOnWhereAnotherStopped) {
  const std::string work = " --model mlp --precision fp64 --momentum 0.9 --lr 0.05";
  std::map<int64_t, double> whole;
  std::map<int64_t, double> chain;
  train_on("single_gpu --batch-size 60" + work + " --steps 20", "whole", whole);
  const auto go_on = [&](const std::string& line) {
    train_on(line + work + " --resume", "chain", chain);
  };
  go_on("data_parallel --gpus 2 --batch-size 30 --steps 4");
  go_on("ddp --gpus 2 --batch-size 30 --steps 8");
  go_on("single_gpu --batch-size 60 --steps 12");
  go_on("ddp --gpus 3 --batch-size 20 --backend gloo --steps 16");
  go_on("data_parallel --gpus 3 --batch-size 20 --steps 20");
  ASSERT_EQ(chain.size(), whole.size());
  for (const auto& [step, loss] : whole) {
    EXPECT_NEAR(chain.at(step), loss, 1e-10 * loss) << "step " << step;
  }
}

TEST_F(ResumeTest, ADamagedCheckpointCostsItsStepsAlone) {
  const std::string line = "single_gpu --model mlp --checkpoint-every 2 --steps ";
  std::map<int64_t, double> whole;
  train_on(line + "6", "whole", whole);
  std::map<int64_t, double> losses;
  train_on(line + "4", "run", losses);
  std::ofstream(last_of("run") + "/model.safetensors") << "damaged";
  const Ended ended = train(line + "6 --resume", "run");
  EXPECT_EQ(ended.code, 0);
  EXPECT_NE(ended.err.find("step-00000004/model.safetensors is damaged"),
            std::string::npos)
      << ended.err;
  EXPECT_NE(ended.err.find("resuming after step 2"), std::string::npos) << ended.err;
  EXPECT_EQ(read_text(last_of("run") + "/manifest"),
            read_text(last_of("whole") + "/manifest"));
}

TEST_F(ResumeTest, WhatDoesNotFitIsRefusedInOneLine) {
  const std::string line = "single_gpu --model mlp --steps 1";
  ASSERT_EQ(train(line, "run").code, 0);
  const auto refusal = [&](const std::string& options, const std::string& name) {
    const Ended ended = train(line + options, name);
    EXPECT_NE(ended.code, 0) << options;
    return ended.err;
  };
  const auto expect = [](const std::string& text, const std::string& words) {
    EXPECT_NE(text.find(words), std::string::npos) << text << "\nwanted: " << words;
  };
  expect(refusal("", "run"), "holds step-00000001 of an earlier run; add --resume");
  expect(refusal(" --resume --seed 1", "run"),
         "was made with --seed 0, this run has --seed 1");
  expect(refusal(" --checkpoint-keep 0", "x"), "--checkpoint-keep 0 would keep none");
  expect(refusal(" --checkpoint-every -1", "x"), "--checkpoint-every -1 cannot be");
  std::ofstream(checkpoints("file")) << "x";
  expect(refusal("", "file"), "file cannot be a folder: ");
  const Ended sharded =
      train("ddp --model mlp --shard-optimizer --momentum 0.9 --steps 1", "y");
  EXPECT_NE(sharded.code, 0);
  expect(sharded.err, "--shard-optimizer shares it out; leave one of them out");
  const Ended at_its_end = train(line + " --resume", "run");
  EXPECT_EQ(at_its_end.code, 0) << at_its_end.err;
  expect(at_its_end.err, "would end after step 1; nothing is left to train");
  EXPECT_EQ(read_text(folder_ / "metrics"), "") << "nothing was left to do";
}

// Machines that do not see the same folder.
TEST_F(ResumeTest, RanksThatBeginAtDifferentStepsAreTold) {
  ASSERT_EQ(train("ddp --model linear --steps 2", "there").code, 0);
  const std::string port = std::to_string(launch::Listener().port());
  std::vector<launch::Process> ranks;
  for (const std::string rank : {"0", "1"}) {
    launch::Command command;
    command.argv = {from_environment("LOCKSTEP_BIN") + "/ddp",
                    "--model",
                    "linear",
                    "--device",
                    "cpu",
                    "--steps",
                    "4",
                    "--resume",
                    "--checkpoint",
                    checkpoints(rank == "0" ? "there" : "elsewhere")};
    command.extra_env = {{"RANK", rank},
                         {"WORLD_SIZE", "2"},
                         {"MASTER_ADDR", "127.0.0.1"},
                         {"MASTER_PORT", port}};
    command.out = command.err = launch::Output::kCapture;
    ranks.emplace_back(command);
  }
  EXPECT_EQ(ranks[0].wait().code, 1);
  EXPECT_EQ(ranks[1].wait().code, 1);
  EXPECT_NE(ranks[0].err().find(
                "ddp: rank 1 begins after step 0 and rank 0 after step 2; give a "
                "--checkpoint folder that all machines see\n"),
            std::string::npos)
      << ranks[0].err();
}

// Names and shapes are those of the Python networks, buffers as well.
TEST_F(ResumeTest, PythonLoadsTheModel) {
  for (const std::string& line :
       {std::string("single_gpu --model convnet"),
        std::string("data_parallel --gpus 2 --model resnet18 "
                    "--dataset synthetic"),
        std::string("ddp --model transformer-tied --vocab-size 61"
                    " --momentum 0.9")}) {
    const std::string name = line.substr(line.find("--model ") + 8, 5);
    const Ended ended = train(line + " --batch-size 2 --steps 1", name);
    ASSERT_EQ(ended.code, 0) << line << ": " << ended.err;
  }
  const Ended python = run({from_environment("LOCKSTEP_PYTHON"), "-c", R"(
import os, sys
sys.path.insert(0, os.environ["LOCKSTEP_SOURCE"] + "/bench/peers")
from networks import MODELS, Inputs
from safetensors.torch import load_file
for model in ("convnet", "resnet18", "transformer-tied"):
    inputs = Inputs(vocabulary=61) if "tied" in model else Inputs()
    network = MODELS[model](inputs)
    folder = os.path.join(sys.argv[1], model[:5])
    step = os.path.join(folder, open(os.path.join(folder, "latest")).read().strip())
    network.load_state_dict(load_file(step + "/model.safetensors"), strict=True)
    momentum = load_file(step + "/optimizer.safetensors")
    names = {name + ".momentum_buffer" for name, _ in network.named_parameters()}
    assert set(momentum) == (names if "tied" in model else set()), momentum.keys()
)",
                            folder_.path()});
  EXPECT_EQ(python.code, 0) << python.err;
}

}  // namespace
}  // namespace lockstep
