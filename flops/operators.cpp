#include "flops/operators.h"

#include <ATen/core/Tensor.h>

#include <unordered_map>

namespace lockstep::flops {
namespace {

using Inputs = c10::ArrayRef<const c10::IValue>;
using Formula = int64_t (*)(Inputs inputs);

// [.., m, k] and [.., k, n].
int64_t product(const at::Tensor& a, const at::Tensor& b) {
  return 2 * a.numel() * b.size(-1);
}

int64_t mm(Inputs inputs) {
  return product(inputs.at(0).toTensor(), inputs.at(1).toTensor());
}

int64_t addmm(Inputs inputs) {
  return product(inputs.at(1).toTensor(), inputs.at(2).toTensor());
}

// Input [.., k] and weight [n, k].
int64_t linear(Inputs inputs) {
  return 2 * inputs.at(0).toTensor().numel() * inputs.at(1).toTensor().size(0);
}

int64_t pixels(const at::Tensor& images) {
  return images.numel() / images.size(0) / images.size(1);
}

// Each image's pixel meets the whole filter: [n, channels, pixels..] and
// [out, in / groups, filter..].
int64_t filtered(int64_t images, int64_t pixels, const at::Tensor& weight) {
  return 2 * images * pixels * weight.numel();
}

// One for all dimensions, or one for each.
int64_t of_dimension(const std::vector<int64_t>& values, size_t dimension) {
  return values.size() == 1 ? values.front() : values.at(dimension);
}

// Input, weight, bias, stride, padding, dilation, transposed, ..
int64_t convolution(Inputs inputs) {
  const at::Tensor& input = inputs.at(0).toTensor();
  const at::Tensor& weight = inputs.at(1).toTensor();
  if (inputs.at(6).toBool()) return filtered(input.size(0), pixels(input), weight);
  const std::vector<int64_t> stride = inputs.at(3).toIntVector();
  const std::vector<int64_t> padding = inputs.at(4).toIntVector();
  const std::vector<int64_t> dilation = inputs.at(5).toIntVector();
  int64_t output_pixels = 1;
  for (int64_t i = 2; i < input.dim(); ++i) {
    const auto at = static_cast<size_t>(i - 2);
    const int64_t filter = of_dimension(dilation, at) * (weight.size(i) - 1) + 1;
    const int64_t padded = input.size(i) + 2 * of_dimension(padding, at);
    output_pixels *= (padded - filter) / of_dimension(stride, at) + 1;
  }
  return filtered(input.size(0), output_pixels, weight);
}

// Gradient, input, weight, bias' sizes, stride, padding, dilation, transposed, output
// padding, groups, which are wanted: the input's and the weight's take as many each as
// the forward.
int64_t convolution_backward(Inputs inputs) {
  const at::Tensor& gradient = inputs.at(0).toTensor();
  const at::Tensor& input = inputs.at(1).toTensor();
  const bool transposed = inputs.at(7).toBool();
  const c10::List<bool> wanted = inputs.at(10).toBoolList();
  return (wanted.get(0) + wanted.get(1)) *
         filtered(input.size(0), pixels(transposed ? input : gradient),
                  inputs.at(2).toTensor());
}

// Padded so that the image keeps its size: as many forward as for either gradient.
int64_t winograd(Inputs inputs) {
  const at::Tensor& images = inputs.at(0).toTensor();
  return filtered(images.size(0), pixels(images), inputs.at(1).toTensor());
}

struct Attention {
  int64_t scores = 0;  // queries times keys
  int64_t values = 0;  // scores times values
};

// Queries, keys and values, each [n, heads, length, width].
Attention attention(Inputs inputs) {
  const at::Tensor& queries = inputs.at(0).toTensor();
  const int64_t keys = inputs.at(1).toTensor().size(2);
  const int64_t rows = queries.numel() / queries.size(-1);
  return {2 * queries.numel() * keys,
          2 * rows * keys * inputs.at(2).toTensor().size(-1)};
}

int64_t attention_forward(Inputs inputs) {
  const Attention flops = attention(inputs);
  return flops.scores + flops.values;
}

// Behind the gradient: the scores again, theirs by the values, and the gradients of all
// three.
int64_t attention_backward(Inputs inputs) {
  const Attention flops = attention(inputs.slice(1));
  return 3 * flops.scores + 2 * flops.values;
}

// LibTorch's own, oneDNN's and model/'s, on every device.
const std::unordered_map<std::string_view, Formula>& formulas() {
  static const auto* const all = new std::unordered_map<std::string_view, Formula>{
      {"aten::mm", mm},
      {"aten::bmm", mm},
      {"aten::addmm", addmm},
      {"aten::baddbmm", addmm},
      {"mkldnn::_linear_pointwise", linear},
      {"aten::convolution", convolution},
      {"aten::convolution_backward", convolution_backward},
      {"lockstep::winograd_convolution", winograd},
      {"aten::_scaled_dot_product_flash_attention", attention_forward},
      {"aten::_scaled_dot_product_flash_attention_backward", attention_backward},
      {"aten::_scaled_dot_product_flash_attention_for_cpu", attention_forward},
      {"aten::_scaled_dot_product_flash_attention_for_cpu_backward",
       attention_backward},
      {"aten::_scaled_dot_product_efficient_attention", attention_forward},
      {"aten::_scaled_dot_product_efficient_attention_backward", attention_backward},
      {"aten::_scaled_dot_product_cudnn_attention", attention_forward},
      {"aten::_scaled_dot_product_cudnn_attention_backward", attention_backward},
  };
  return *all;
}

}  // namespace

int64_t flops_of(std::string_view name, Inputs inputs) {
  const auto formula = formulas().find(name);
  return formula == formulas().end() ? 0 : formula->second(inputs);
}

}  // namespace lockstep::flops
