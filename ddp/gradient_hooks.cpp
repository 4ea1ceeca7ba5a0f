#include "ddp/gradient_hooks.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <unordered_set>

namespace lockstep::ddp {

using torch::autograd::Node;
using torch::autograd::variable_list;
using torch::autograd::utils::LambdaPostHook;

GradientHooks::GradientHooks(const std::vector<at::Tensor>& parameters,
                             const std::function<void(size_t)>& came) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters[i]);
    const uintptr_t key = accumulator->add_post_hook(std::make_unique<LambdaPostHook>(
        [came, i](const variable_list& outputs, const variable_list&) {
          came(i);
          return outputs;
        }));
    hooks_.emplace_back(std::move(accumulator), key);
  }
}

GradientHooks::~GradientHooks() {
  for (const auto& [accumulator, key] : hooks_) accumulator->del_post_hook(key);
}

std::vector<size_t> GradientHooks::unreachable_from(const at::Tensor& output) const {
  std::unordered_set<const Node*> seen;
  std::vector<Node*> to_visit;
  const auto reach = [&](Node* node) {
    if (node != nullptr && seen.insert(node).second) to_visit.push_back(node);
  };
  reach(torch::autograd::impl::gradient_edge(output).function.get());
  while (!to_visit.empty()) {
    const Node* node = to_visit.back();
    to_visit.pop_back();
    for (const auto& edge : node->next_edges()) reach(edge.function.get());
  }
  std::vector<size_t> unreachable;
  for (size_t i = 0; i < hooks_.size(); ++i) {
    if (!seen.contains(hooks_[i].first.get())) unreachable.push_back(i);
  }
  return unreachable;
}

}  // namespace lockstep::ddp
