#include "training/fused_sgd.h"

#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>

namespace lockstep::training {
namespace {

struct Lists {
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> gradients;
  std::vector<at::Tensor> momenta;  // empty without momentum
};

// The kernel goes through both as they lie in memory.
at::Tensor laid_out_as(const at::Tensor& parameter, const at::Tensor& gradient) {
  if (gradient.strides() == parameter.strides()) return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

void fused_step(Lists& lists, const torch::optim::SGDOptions& options, bool first) {
  if (lists.parameters.empty()) return;
  at::_fused_sgd_(lists.parameters, lists.gradients, lists.momenta,
                  options.weight_decay(), options.momentum(), options.lr(),
                  options.dampening(), options.nesterov(), /*maximize=*/false, first);
}

}  // namespace

at::Tensor FusedSgd::step(LossClosure closure) {
  TORCH_CHECK(closure == nullptr, "the fused SGD takes no closure; take torch's");
  const at::NoGradGuard no_grad;
  for (torch::optim::OptimizerParamGroup& group : param_groups()) {
    const auto& options = static_cast<const torch::optim::SGDOptions&>(group.options());
    // Whose momentum is not there yet: it becomes the gradient.
    Lists first;
    Lists rest;
    for (at::Tensor& parameter : group.params()) {
      if (!parameter.grad().defined()) continue;
      Lists* lists = &rest;
      if (options.momentum() != 0) {
        auto& state = state_[parameter.unsafeGetTensorImpl()];
        if (state == nullptr) state = std::make_unique<torch::optim::SGDParamState>();
        auto& kept = static_cast<torch::optim::SGDParamState&>(*state);
        if (!kept.momentum_buffer().defined()) {
          kept.momentum_buffer(at::empty_like(parameter));
          lists = &first;
        }
        lists->momenta.push_back(laid_out_as(parameter, kept.momentum_buffer()));
        // A checkpoint's may lie otherwise.
        kept.momentum_buffer(lists->momenta.back());
      }
      lists->parameters.push_back(parameter);
      lists->gradients.push_back(laid_out_as(parameter, parameter.grad()));
    }
    fused_step(first, options, /*first=*/true);
    fused_step(rest, options, /*first=*/false);
  }
  return {};
}

}  // namespace lockstep::training
