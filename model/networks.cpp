#include "model/networks.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/pooling.h>

#include <unordered_set>

#include "model/batch_norm.h"
#include "model/conv.h"
#include "model/linear.h"

namespace lockstep::model {
namespace {

namespace nn = torch::nn;

// [N, in, H, W] -> [N, out, H/2, W/2]
void add_conv_block(Network& network, int64_t in, int64_t out, bool batch_norm) {
  network->push_back(Conv(in, out, /*kernel=*/5, /*stride=*/1, /*bias=*/true));
  if (batch_norm) network->push_back(BatchNorm(out));
  // In place: neither layer looks at its output again.
  network->push_back(nn::ReLU(nn::ReLUOptions(/*inplace=*/true)));
  network->push_back(nn::MaxPool2d(2));
}

// Sizes as of [1, 28, 28].
Network two_block_convnet(const Inputs& inputs, bool batch_norm) {
  Network network;
  add_conv_block(network, inputs.channels, 16, batch_norm);  // [N, 16, 14, 14]
  add_conv_block(network, 16, 32, batch_norm);               // [N, 32, 7, 7]
  network->push_back(nn::Flatten());                         // [N, 1568]
  network->push_back(
      Linear(32 * (inputs.height / 4) * (inputs.width / 4), inputs.classes));
  return network;
}

int64_t pixels(const Inputs& inputs) {
  return inputs.channels * inputs.height * inputs.width;
}

}  // namespace

std::vector<at::Tensor> trained_parameters(const Network& network) {
  std::vector<at::Tensor> trained;
  for (const NamedParameter& parameter : named_trained_parameters(network)) {
    trained.push_back(parameter.tensor);
  }
  return trained;
}

std::vector<NamedParameter> named_trained_parameters(const Network& network) {
  std::vector<NamedParameter> trained;
  std::unordered_set<const void*> seen;
  for (const auto& item : network->named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.requires_grad()) continue;
    if (seen.insert(parameter.unsafeGetTensorImpl()).second)
      trained.push_back({item.key(), parameter});
  }
  return trained;
}

Network linear(const Inputs& inputs) { return Network(Linear(100, inputs.classes)); }

Network mlp(const Inputs& inputs) {
  return Network(nn::Flatten(), Linear(pixels(inputs), 256), nn::ReLU(),
                 Linear(256, inputs.classes));
}

Network mlp_wide(const Inputs& inputs) {
  return Network(nn::Flatten(), Linear(pixels(inputs), 2048), nn::ReLU(),
                 Linear(2048, 2048), nn::ReLU(), Linear(2048, inputs.classes));
}

Network convnet(const Inputs& inputs) {
  return two_block_convnet(inputs, /*batch_norm=*/true);
}

Network convnet_plain(const Inputs& inputs) {
  return two_block_convnet(inputs, /*batch_norm=*/false);
}

}  // namespace lockstep::model
