// What a run consists of as tensors of files, and back: names are those of PyTorch's
// state_dict, so that load_state_dict() takes a model's file.
#pragma once

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <map>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"

namespace lockstep::checkpoint {

// Tensors of a file to be written, and whoever owns their bytes.
struct HeldTensors {
  std::vector<at::Tensor> owners;
  std::vector<TensorBytes> tensors;
};

// Parameters and buffers.
HeldTensors model_tensors(const torch::nn::Module& model);
// Of each trained parameter what the optimizer keeps: "1.weight.momentum_buffer".
HeldTensors optimizer_tensors(const torch::nn::Module& model,
                              torch::optim::Optimizer& optimizer);

// Names, types and shapes must be the model's own; layouts and devices stay the
// model's. Throws std::runtime_error naming file and tensor.
void load_model(const torch::nn::Module& model, const TensorFile& from,
                const std::string& file);
void load_optimizer(const torch::nn::Module& model, torch::optim::Optimizer& optimizer,
                    const TensorFile& from, const std::string& file);

// LibTorch's own generators, of the host and of the model's card: "cpu", "cuda".
using GeneratorStates = std::map<std::string, std::string>;
GeneratorStates generator_states(const torch::nn::Module& model);
// Of those that are not there nothing is changed.
void set_generators(const torch::nn::Module& model, const GeneratorStates& states);

}  // namespace lockstep::checkpoint
