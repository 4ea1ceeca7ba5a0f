#include "device/gradient_tags.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "device/ledger_allocator.h"

namespace lockstep::device {

using torch::autograd::variable_list;
using torch::autograd::utils::LambdaPostHook;

GradientTags::GradientTags(const std::vector<at::Tensor>& parameters) {
  for (const at::Tensor& parameter : parameters) {
    if (!parameter.requires_grad()) continue;
    auto accumulator = torch::autograd::impl::grad_accumulator(parameter);
    const uintptr_t key = accumulator->add_post_hook(std::make_unique<LambdaPostHook>(
        [parameter](const variable_list& outputs, const variable_list&) {
          retag(parameter.grad(), Category::activations, Category::gradients);
          return outputs;
        }));
    hooks_.emplace_back(std::move(accumulator), key);
  }
}

GradientTags::~GradientTags() {
  for (const auto& [accumulator, key] : hooks_) accumulator->del_post_hook(key);
}

}  // namespace lockstep::device
