#include "ddp/gradient_hooks.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <unordered_set>

namespace lockstep::ddp {

using torch::autograd::Node;
using torch::autograd::variable_list;
using torch::autograd::utils::LambdaPostHook;

namespace {

// A gradient may share its memory with what backward still computes from: a sum hands
// one gradient to both its terms, and one of them may be a view. AccumulateGrad asks
// only whether it is the same tensor. Those that may hold the memory beside the
// gradient: the tensor that was just handed over to become it, and that one's base,
// if it is a view that nobody but itself keeps alive.
bool is_alone(const at::Tensor& gradient, const at::Tensor& handed) {
  size_t holders = 1;
  if (handed.defined() && !handed.is_same(gradient) && handed.is_alias_of(gradient)) {
    ++holders;
    if (handed.is_view() && handed._base().use_count() == 1) ++holders;
  }
  return gradient.storage().use_count() <= holders;
}

}  // namespace

GradientHooks::GradientHooks(const std::vector<at::Tensor>& parameters,
                             const Came& came) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters[i]);
    const uintptr_t key = accumulator->add_post_hook(std::make_unique<LambdaPostHook>(
        [came, i, parameter = parameters[i].unsafeGetTensorImpl()](
            const variable_list& outputs, const variable_list& handed) {
          const at::Tensor& gradient = parameter->grad();
          came(i, gradient.defined() && is_alone(gradient, handed.at(0)));
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
