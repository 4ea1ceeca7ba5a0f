// The networks, each a torch::nn::Sequential as its Python twin is an nn.Sequential:
// the same layers made in the same order draw the same initial parameters from the same
// seed.
//
// Shapes: images [N, channels, height, width] (linear: features [N, 100]) to logits
// [N, classes]; transformer: tokens [N, T] to logits [N, T, vocabulary].
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <string>
#include <vector>

#include "config/section.h"

namespace lockstep::model {

using Network = torch::nn::Sequential;

// What a network is made for; each looks at what concerns it.
struct Inputs {
  // Of images; of 4 x 4 pixels at least.
  int64_t channels = 1;
  int64_t height = 28;
  int64_t width = 28;
  int64_t classes = 10;
  // Of sequences of tokens, each a number below `vocabulary`, at most `length` of them.
  int64_t vocabulary = 50257;
  int64_t length = 64;
  // What else a network of somebody's own is told, by name; those below take nothing.
  config::Section arguments;
};

// The parameters that gradients reach, in the order of the layers. A layer that stands
// in the network twice counts once (LibTorch's parameters() lists it twice, Python's
// does not); frozen ones do not count.
std::vector<at::Tensor> trained_parameters(const Network& network);

// The same with their names, "1.weight"; of a layer that stands there twice, the first.
struct NamedParameter {
  std::string name;
  at::Tensor tensor;
};
std::vector<NamedParameter> named_trained_parameters(const Network& network);

// Sizes are those of [1, 28, 28] and 10 classes.
Network linear(const Inputs& inputs);    // 100 -> 10, whatever the images
Network mlp(const Inputs& inputs);       // 784 -> 256 -> 10, ReLU
Network mlp_wide(const Inputs& inputs);  // 784 -> 2048 -> 2048 -> 10: 5.8 M parameters
// Two blocks of 5x5 convolution, batch norm, ReLU, pool; 1568 -> 10.
Network convnet(const Inputs& inputs);
// The same without batch norm: no buffers, batches can be split.
Network convnet_plain(const Inputs& inputs);
// With a 3x3 stem without pooling, as for CIFAR-sized images (resnet.cpp).
Network resnet18(const Inputs& inputs);
Network resnet50(const Inputs& inputs);
// A small GPT, 29 M parameters, 26 M of them in the embedding and the head
// (transformer.cpp).
Network transformer(const Inputs& inputs);
// The head's weight is the embedding's: 16 M parameters.
Network transformer_tied(const Inputs& inputs);

}  // namespace lockstep::model

namespace lockstep {
using model::Network;
}
