// He et al., "Deep Residual Learning for Image Recognition", CVPR 2016: the 18-layer
// network of basic blocks, with the 3x3 stem that its section 4.2 uses on small images.
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/pooling.h>

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

// [N, in, H, W] -> [N, out, H/stride, W/stride]
class BasicBlockImpl : public nn::Cloneable<BasicBlockImpl> {
 public:
  BasicBlockImpl(int64_t in, int64_t out, int64_t stride)
      : in_(in), out_(out), stride_(stride) {
    reset();
  }

  // Cloneable makes replicas by calling this and copying the parameters over.
  void reset() override {
    body_ = register_module(
        "body", Network(conv(in_, out_, 3, stride_), BatchNorm(out_), relu(),
                        conv(out_, out_, 3, 1), BatchNorm(out_)));
    shortcut_ = register_module("shortcut", Network());
    if (stride_ != 1 || in_ != out_) {
      shortcut_->push_back(conv(in_, out_, 1, stride_));
      shortcut_->push_back(BatchNorm(out_));
    }
  }

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor passed = shortcut_->is_empty() ? input : shortcut_->forward(input);
    return body_->forward(input).add_(passed).relu_();
  }

 private:
  int64_t in_;
  int64_t out_;
  int64_t stride_;
  Network body_{nullptr};
  Network shortcut_{nullptr};
};
TORCH_MODULE(BasicBlock);

}  // namespace

Network resnet18() {
  Network network(conv(1, 64, 3, 1), BatchNorm(64), relu());
  int64_t in = 64;
  for (const int64_t out : {64, 128, 256, 512}) {
    network->push_back(BasicBlock(in, out, /*stride=*/out == 64 ? 1 : 2));
    network->push_back(BasicBlock(out, out, /*stride=*/1));
    in = out;
  }
  network->push_back(nn::AdaptiveAvgPool2d(1));
  network->push_back(nn::Flatten());
  network->push_back(Linear(512, 10));
  return network;
}

}  // namespace lockstep::model
