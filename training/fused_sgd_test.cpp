// The fused step is torch::optim::SGD's, over many steps of odd shapes.
#include "training/fused_sgd.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace lockstep::training {
namespace {

std::vector<at::Tensor> parameters(int seed) {
  torch::manual_seed(seed);
  const auto fp64 = torch::TensorOptions().dtype(torch::kDouble);
  std::vector<at::Tensor> tensors = {
      torch::randn({3, 5}, fp64), torch::randn({7}, fp64), torch::randn({}, fp64),
      torch::randn({4, 3, 3, 3}, fp64).contiguous(at::MemoryFormat::ChannelsLast)};
  for (at::Tensor& tensor : tensors) tensor.requires_grad_();
  return tensors;
}

// The same for both: of each parameter but now and then one, laid out in its own way.
void give_gradients(const std::vector<at::Tensor>& to, int step) {
  torch::manual_seed(1000 + step);
  for (size_t i = 0; i < to.size(); ++i) {
    const at::Tensor gradient = torch::randn(to[i].sizes(), to[i].options());
    to[i].mutable_grad() = (step + static_cast<int>(i)) % 3 == 0 && i != 0
                               ? at::Tensor()
                               : gradient.detach();
  }
}

struct Kind {
  double momentum;
  double dampening;
  double weight_decay;
  bool nesterov;
};

TEST(FusedSgd, StepsAsLibTorchs) {
  for (const Kind kind :
       {Kind{0, 0, 0, false}, Kind{0, 0, 0.1, false}, Kind{0.9, 0, 0, false},
        Kind{0.9, 0.5, 0.1, false}, Kind{0.9, 0, 0.1, true}}) {
    const auto options = torch::optim::SGDOptions(0.1)
                             .momentum(kind.momentum)
                             .dampening(kind.dampening)
                             .weight_decay(kind.weight_decay)
                             .nesterov(kind.nesterov);
    const auto ours = parameters(1);
    const auto theirs = parameters(1);
    FusedSgd fused(ours, options);
    torch::optim::SGD plain(theirs, options);
    for (int step = 0; step < 20; ++step) {
      for (auto* optimizer : {static_cast<torch::optim::SGD*>(&fused), &plain}) {
        auto& now = static_cast<torch::optim::SGDOptions&>(
            optimizer->param_groups().front().options());
        now.lr(0.1 / (1 + step));  // a schedule's
      }
      give_gradients(ours, step);
      give_gradients(theirs, step);
      fused.step();
      plain.step();
    }
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_LE((ours[i] - theirs[i]).norm().item<double>(),
                1e-14 * theirs[i].norm().item<double>())
          << "momentum " << kind.momentum << ", parameter " << i;
    }
    EXPECT_EQ(fused.state().size(), plain.state().size());
  }
}

TEST(FusedSgd, RefusesAClosure) {
  FusedSgd fused(parameters(1), torch::optim::SGDOptions(0.1));
  EXPECT_THROW(fused.step([] { return at::Tensor(); }), c10::Error);
}

}  // namespace
}  // namespace lockstep::training
