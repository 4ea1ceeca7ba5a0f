// The networks that are not Fashion-MNIST's, against their Python twins and over
// several cards: the transformer, whose head may be tied to its embedding, and those
// that take CIFAR-10's images. And of all networks the parameters that training starts
// with, to the bit.
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>
#include <stdexcept>

#include "launch/process.h"
#include "tests/equality/run.h"
#include "tests/test_folder.h"
#include "training/catalog.h"

namespace lockstep::equality {
namespace {

constexpr int64_t kVocabulary = 61;

// Everything of Python in one process, for it takes seconds to start. Given command
// lines of train.py; prints the losses of each, and of each network the names and the
// fingerprint()s of its parameters.
constexpr char kTwins[] = R"(
import json, os, sys
sys.path.insert(0, os.environ["LOCKSTEP_SOURCE"] + "/bench/peers")
import torch, train
from networks import MODELS, Inputs

def fingerprint(parameter):
    bits = parameter.detach().flatten().view(torch.int32).long()
    return (bits * torch.arange(1, len(bits) + 1)).sum().item()

def parameters(model, inputs):
    torch.manual_seed(5)
    return [[n, fingerprint(p)] for n, p in MODELS[model](inputs).named_parameters()]

def losses(line):
    sys.argv[1:] = line.split()
    return train.train(train.parse_options(), 0, 1, False)[0].tolist()

images = Inputs(channels=3, height=32, width=32, vocabulary=61)
print(json.dumps({
    "losses": {line: losses(line) for line in list(sys.argv[1:])},
    "parameters": {model: parameters(model, images) for model in MODELS},
}))
)";

struct Trial {
  std::string work;  // the options, for both
  size_t steps;
};

Trial transformer_trial(const std::string& model) {
  return {" --model " + model + " --vocab-size " + std::to_string(kVocabulary) +
              " --precision fp64 --momentum 0.9 --lr 0.1 --batch-size 4 --steps 3",
          3};
}

// Six files of a few images, as long as their format has it.
const TestFolder& cifar10_folder() {
  static const TestFolder folder;
  std::mt19937 random(0);
  for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                           "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
    std::ofstream file(folder / name, std::ios::binary);
    for (int i = 0; i < 4 * 3073; ++i) {
      file.put(static_cast<char>(i % 3073 == 0 ? random() % 10 : random() % 256));
    }
  }
  return folder;
}

std::vector<Trial> cifar10_trials() {
  static const std::string folder = cifar10_folder() / "";
  const std::string data = " --dataset cifar10 --data-dir " + folder +
                           " --precision fp64 --batch-size 2 --steps ";
  return {{data + "5 --model convnet", 5}, {data + "2 --model resnet50", 2}};
}

const nlohmann::json& python_twins() {
  static nlohmann::json told;
  if (!told.is_null()) return told;
  launch::Command command;
  command.argv = {std::getenv("LOCKSTEP_PYTHON"), "-c", kTwins,
                  transformer_trial("transformer").work,
                  transformer_trial("transformer-tied").work};
  for (const Trial& trial : cifar10_trials()) command.argv.push_back(trial.work);
  command.out = command.err = launch::Output::kCapture;
  launch::Process python(command);
  if (python.wait().code != 0) throw std::runtime_error(python.err());
  return told = nlohmann::json::parse(python.out());
}

std::vector<double> twins_losses(const Trial& trial) {
  return python_twins().at("losses").at(trial.work);
}

int64_t fingerprint(const at::Tensor& parameter) {
  const at::Tensor bits = parameter.detach().flatten().view(at::kInt).to(at::kLong);
  return (bits * at::arange(1, bits.numel() + 1)).sum().item<int64_t>();
}

TEST(Twins, StartWithTheSameParameters) {
  const auto& theirs = python_twins().at("parameters");
  model::Inputs inputs;
  inputs.channels = 3;
  inputs.height = inputs.width = 32;
  inputs.vocabulary = kVocabulary;
  for (const std::string& name : training::models().names()) {
    if (name == "linear") continue;  // has no twin
    torch::manual_seed(5);
    const Network network = training::models().at(name)(inputs);
    nlohmann::json ours = nlohmann::json::array();
    for (const auto& parameter : network->named_parameters()) {
      ours.push_back({parameter.key(), fingerprint(parameter.value())});
    }
    EXPECT_EQ(ours, theirs.at(name)) << name;
  }
  EXPECT_EQ(theirs.size() + 1, training::models().names().size());
}

class TransformerTwin : public testing::TestWithParam<std::string> {};

TEST_P(TransformerTwin, InFp64EqualsOursOnOneCardAndOnTwo) {
  const Trial trial = transformer_trial(GetParam());
  const WatchedRun& one = watched("single_gpu" + trial.work);
  EXPECT_EQ(one.tensors.count("0.head.weight"), GetParam() == "transformer" ? 1u : 0u);
  EXPECT_LE(apart(twins_losses(trial), one.losses, trial.steps), 1e-9);
  // Half of the batch to each card.
  const std::string half =
      std::regex_replace(trial.work, std::regex("--batch-size 4"), "--batch-size 2");
  for (const std::string program : {"data_parallel", "ddp"}) {
    const WatchedRun& two = watched(program + " --gpus 2 --threads-per-card 1" + half);
    EXPECT_LE(apart(two.losses, one.losses, trial.steps), 1e-10) << program;
    EXPECT_LE(apart(two.tensors, one.tensors), 1e-10) << program;
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, TransformerTwin,
                         testing::Values("transformer", "transformer-tied"),
                         [](const auto& info) {
                           return info.index == 0 ? "OfItsOwn" : "Tied";
                         });

TEST(Cifar10Twins, InFp64EqualOurs) {
  for (const Trial& trial : cifar10_trials()) {
    EXPECT_LE(apart(twins_losses(trial), program_losses("single_gpu" + trial.work),
                    trial.steps),
              1e-9)
        << trial.work;
  }
}

}  // namespace
}  // namespace lockstep::equality
