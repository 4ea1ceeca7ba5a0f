// The networks, each a torch::nn::Sequential as its Python twin is an nn.Sequential:
// the same layers made in the same order draw the same initial parameters from the same
// seed.
//
// Shapes: images [N, 1, 28, 28] (linear: features [N, 100]) to logits [N, 10].
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <string>
#include <vector>

namespace lockstep::model {

using Network = torch::nn::Sequential;

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

Network linear();    // 100 -> 10
Network mlp();       // 784 -> 256 -> 10, ReLU
Network mlp_wide();  // 784 -> 2048 -> 2048 -> 10, ReLU: 5.8 M parameters
Network convnet();  // two blocks of 5x5 convolution, batch norm, ReLU, pool; 1568 -> 10
Network
convnet_plain();     // the same without batch norm: no buffers, batches can be split
Network resnet18();  // 3x3 stem without pooling, as for CIFAR-sized images

}  // namespace lockstep::model

namespace lockstep {
using model::Network;
}
