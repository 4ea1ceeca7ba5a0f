#include "model/linear.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/autograd.h>
#include <torch/nn/init.h>

#include <cmath>

namespace lockstep::model {
namespace {

// weight [rows, k] and input [n, k] to [n, rows], plus bias [rows]. Transposed views
// are taken as they are.
at::Tensor product(const at::Tensor& input, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias) {
  using Signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                 std::string_view, c10::List<std::optional<at::Scalar>>,
                 std::optional<std::string_view>);
  static const auto linear = c10::Dispatcher::singleton()
                                 .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                                 .typed<Signature>();
  return linear.call(input, weight, bias, "none",
                     c10::List<std::optional<at::Scalar>>(), "");
}

class OneDnnLinear : public torch::autograd::Function<OneDnnLinear> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& input, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({input, weight});
    context->saved_data["has_bias"] = bias.has_value();
    return product(input, weight, bias);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor& input = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor gradient = gradients[0].contiguous();
    torch::autograd::variable_list wanted(3);
    if (context->needs_input_grad(0)) {
      wanted[0] = product(gradient, weight.t(), std::nullopt);
    }
    if (context->needs_input_grad(1)) {
      wanted[1] = product(gradient.t(), input.t(), std::nullopt);
    }
    if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)) {
      wanted[2] = gradient.sum(0);
    }
    return wanted;
  }
};

bool suits_one_dnn(const at::Tensor& input, const at::Tensor& weight) {
  // What does not fit together is at::linear()'s to refuse, in its own words.
  return input.is_cpu() && input.dim() >= 2 && input.numel() > 0 &&
         input.size(-1) == weight.size(1) && input.scalar_type() == at::kFloat &&
         weight.scalar_type() == at::kFloat && at::hasMKLDNN() &&
         !at::autocast::is_autocast_enabled(at::kCPU) &&
         at::globalContext().userEnabledMkldnn();
}

}  // namespace

at::Tensor linear_product(const at::Tensor& input, const at::Tensor& weight,
                          const std::optional<at::Tensor>& bias) {
  if (!suits_one_dnn(input, weight)) return at::linear(input, weight, bias);
  if (input.dim() == 2) return OneDnnLinear::apply(input, weight, bias);
  std::vector<int64_t> shape = input.sizes().vec();
  shape.back() = weight.size(0);
  return OneDnnLinear::apply(input.flatten(0, -2), weight, bias).view(shape);
}

LinearImpl::LinearImpl(int64_t in, int64_t out, bool bias)
    : in_(in), out_(out), has_bias_(bias) {
  LinearImpl::reset();
}

// As torch/csrc/api/src/nn/modules/linear.cpp draws them.
void LinearImpl::reset() {
  weight_ = register_parameter("weight", torch::empty({out_, in_}));
  torch::nn::init::kaiming_uniform_(weight_, std::sqrt(5.0));
  if (!has_bias_) return;
  bias_ = register_parameter("bias", torch::empty({out_}));
  const double bound = 1 / std::sqrt(static_cast<double>(in_));
  torch::nn::init::uniform_(bias_, -bound, bound);
}

at::Tensor LinearImpl::forward(const at::Tensor& input) {
  return linear_product(input, weight_,
                        has_bias_ ? std::optional(bias_) : std::nullopt);
}

}  // namespace lockstep::model
