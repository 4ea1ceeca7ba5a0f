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

Network two_block_convnet(bool batch_norm) {
  Network network;
  add_conv_block(network, 1, 16, batch_norm);   // [N, 16, 14, 14]
  add_conv_block(network, 16, 32, batch_norm);  // [N, 32, 7, 7]
  network->push_back(nn::Flatten());            // [N, 1568]
  network->push_back(Linear(32 * 7 * 7, 10));
  return network;
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

Network linear() { return Network(Linear(100, 10)); }

Network mlp() {
  return Network(nn::Flatten(), Linear(784, 256), nn::ReLU(), Linear(256, 10));
}

Network mlp_wide() {
  return Network(nn::Flatten(), Linear(784, 2048), nn::ReLU(), Linear(2048, 2048),
                 nn::ReLU(), Linear(2048, 10));
}

Network convnet() { return two_block_convnet(/*batch_norm=*/true); }

Network convnet_plain() { return two_block_convnet(/*batch_norm=*/false); }

}  // namespace lockstep::model
