// Small nets with batch norm for the test that it is one card's on the whole batch: one
// of blocks one after the other, and one as a resnet, with layers in layers.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/pooling.h>
#include <torch/types.h>

#include "model/batch_norm.h"
#include "model/conv.h"
#include "model/linear.h"
#include "model/networks.h"

namespace lockstep::ddp {

inline constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

// Batch norm in a body and in a shortcut, as in a resnet's block.
struct BlockImpl : torch::nn::Module {
  BlockImpl(int64_t in, int64_t out)
      : body(register_module(
            "body", Network(model::Conv(in, out, 3, 1, false), model::BatchNorm(out),
                            torch::nn::ReLU(), model::Conv(out, out, 3, 1, false),
                            model::BatchNorm(out)))),
        shortcut(register_module("shortcut", Network(model::Conv(in, out, 1, 1, false),
                                                     model::BatchNorm(out)))) {}
  at::Tensor forward(const at::Tensor& x) {
    return (body->forward(x) + shortcut->forward(x)).relu();
  }
  Network body, shortcut;
};
TORCH_MODULE(Block);

inline constexpr int64_t kPixels = 6;

inline Network convnet() {
  return Network(model::Conv(3, 16, 5, 1, true), model::BatchNorm(16),
                 torch::nn::ReLU(), torch::nn::MaxPool2d(2),
                 model::Conv(16, 5, 5, 1, true), model::BatchNorm(5), torch::nn::ReLU(),
                 torch::nn::Flatten(), model::Linear(5 * 9, 4));
}
inline Network resnet() {
  return Network(model::Conv(3, 6, 3, 1, false), model::BatchNorm(6), torch::nn::ReLU(),
                 Block(6, 16), Block(16, 7), torch::nn::AdaptiveAvgPool2d(1),
                 torch::nn::Flatten(), model::Linear(7, 4));
}

inline void take(const Network& to, const Network& from) {
  const at::NoGradGuard no_grad;
  const auto copy = [](const auto& mine, const auto& others) {
    for (size_t i = 0; i < mine.size(); ++i) mine[i].copy_(others[i]);
  };
  copy(to->parameters(), from->parameters());
  copy(to->buffers(), from->buffers());
}

struct Batch {
  at::Tensor images, labels;
};
inline Batch batch_of(int step, int64_t size, bool channels_last) {
  const auto random = at::detail::createCPUGenerator(static_cast<uint64_t>(step + 1));
  const at::Tensor images = at::randn({size, 3, kPixels, kPixels}, random,
                                      at::TensorOptions().dtype(at::kDouble)) +
                            2;
  return {channels_last ? images.contiguous(kChannelsLast) : images,
          at::randint(4, {size}, random, at::TensorOptions().dtype(at::kLong))};
}

}  // namespace lockstep::ddp
