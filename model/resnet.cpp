// He et al., "Deep Residual Learning for Image Recognition", CVPR 2016: the 18-layer
// network of basic blocks and the 50-layer one of bottlenecks, with the 3x3 stem that
// its section 4.2 uses on small images.
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/pooling.h>

#include <array>

#include "model/batch_norm.h"
#include "model/conv.h"
#include "model/linear.h"
#include "model/networks.h"

namespace lockstep::model {
namespace {

namespace nn = torch::nn;

Conv conv(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  return Conv(in, out, kernel, stride, /*bias=*/false);
}

// In place: batch norm, before it, does not look at its output again.
nn::ReLU relu() { return nn::ReLU(nn::ReLUOptions(/*inplace=*/true)); }

// Two 3x3 convolutions. [N, in, H, W] -> [N, width, H/stride, W/stride]
struct Basic {
  static constexpr int64_t kGrowth = 1;  // the output has so many times `width`
  static Network body(int64_t in, int64_t width, int64_t stride) {
    return Network(conv(in, width, 3, stride), BatchNorm(width), relu(),
                   conv(width, width, 3, 1), BatchNorm(width));
  }
};

// A 3x3 convolution on few channels between two of 1x1; it has the stride, as in
// torchvision. [N, in, H, W] -> [N, 4 width, H/stride, W/stride]
struct Bottleneck {
  static constexpr int64_t kGrowth = 4;
  static Network body(int64_t in, int64_t width, int64_t stride) {
    return Network(conv(in, width, 1, 1), BatchNorm(width), relu(),
                   conv(width, width, 3, stride), BatchNorm(width), relu(),
                   conv(width, 4 * width, 1, 1), BatchNorm(4 * width));
  }
};

// A body of layers, and the input added to what comes out of it.
template <class Body>
class BlockImpl : public nn::Cloneable<BlockImpl<Body>> {
 public:
  BlockImpl(int64_t in, int64_t width, int64_t stride)
      : in_(in), width_(width), stride_(stride) {
    reset();
  }

  // Cloneable makes replicas by calling this and copying the parameters over.
  void reset() override {
    const int64_t out = Body::kGrowth * width_;
    body_ = this->register_module("body", Body::body(in_, width_, stride_));
    shortcut_ = this->register_module("shortcut", Network());
    if (stride_ != 1 || in_ != out) {
      shortcut_->push_back(conv(in_, out, 1, stride_));
      shortcut_->push_back(BatchNorm(out));
    }
  }

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor passed = shortcut_->is_empty() ? input : shortcut_->forward(input);
    return body_->forward(input).add_(passed).relu_();
  }

 private:
  int64_t in_;
  int64_t width_;
  int64_t stride_;
  Network body_{nullptr};
  Network shortcut_{nullptr};
};

// Four stages of so many blocks each; every stage but the first halves the image.
template <class Body>
Network resnet(const Inputs& inputs, const std::array<int, 4>& blocks) {
  Network network(conv(inputs.channels, 64, 3, 1), BatchNorm(64), relu());
  int64_t in = 64;
  int64_t width = 64;
  for (size_t stage = 0; stage < blocks.size(); ++stage, width *= 2) {
    for (int block = 0; block < blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      network->push_back(nn::ModuleHolder<BlockImpl<Body>>(in, width, stride));
      in = Body::kGrowth * width;
    }
  }
  network->push_back(nn::AdaptiveAvgPool2d(1));
  network->push_back(nn::Flatten());
  network->push_back(Linear(in, inputs.classes));
  return network;
}

}  // namespace

Network resnet18(const Inputs& inputs) { return resnet<Basic>(inputs, {2, 2, 2, 2}); }

Network resnet50(const Inputs& inputs) {
  return resnet<Bottleneck>(inputs, {3, 4, 6, 3});
}

}  // namespace lockstep::model
