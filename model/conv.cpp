#include "model/conv.h"

#include <ATen/autocast_mode.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>
#include <torch/nn/init.h>

#include <array>
#include <cmath>

#include "model/processor.h"
#include "model/winograd.h"

namespace lockstep::model {
namespace {

// A product that no operator of LibTorch's is: its observers (a trace, flops/) see it
// as one, of images and the filters that they meet.
class Shown {
 public:
  Shown(const at::Tensor& images, const at::Tensor& weight) {
    if (!call_.isActive()) return;
    const std::array<const c10::IValue, 2> inputs = {images, weight};
    call_.before("lockstep::winograd_convolution", inputs);
  }

 private:
  at::RecordFunction call_{at::RecordScope::FUNCTION};
};

class WinogradConv : public torch::autograd::Function<WinogradConv> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& input, const at::Tensor& weight) {
    context->save_for_backward({input, weight});
    const Shown shown(input, weight);
    return winograd_convolution(input, weight);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor& input = saved[0];
    const at::Tensor& weight = saved[1];
    torch::autograd::variable_list wanted(2);
    if (context->needs_input_grad(0)) {
      const Shown shown(gradients[0], weight);
      wanted[0] = winograd_input_gradient(gradients[0], weight);
    }
    if (context->needs_input_grad(1)) {
      const Shown shown(gradients[0], weight);
      wanted[1] = winograd_weight_gradient(input, gradients[0], weight);
    }
    return wanted;
  }
};

// One channel is contiguous and channels-last at once, and LibTorch goes by the
// strides.
at::Tensor channels_last(const at::Tensor& images) {
  if (images.suggest_memory_format() == at::MemoryFormat::ChannelsLast) return images;
  return images.clone(at::MemoryFormat::ChannelsLast);
}

}  // namespace

ConvImpl::ConvImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride, bool bias)
    : in_(in), out_(out), kernel_(kernel), stride_(stride), has_bias_(bias) {
  ConvImpl::reset();
}

// As torch/csrc/api/include/torch/nn/modules/conv.h draws them.
void ConvImpl::reset() {
  weight_ = register_parameter("weight", torch::empty({out_, in_, kernel_, kernel_}));
  torch::nn::init::kaiming_uniform_(weight_, std::sqrt(5.0));
  if (!has_bias_) return;
  bias_ = register_parameter("bias", torch::empty({out_}));
  const double bound = 1 / std::sqrt(static_cast<double>(in_ * kernel_ * kernel_));
  torch::nn::init::uniform_(bias_, -bound, bound);
}

at::Tensor ConvImpl::forward(const at::Tensor& input) {
  const bool likes_channels_last =
      input.is_cpu() && input.scalar_type() == at::kFloat && processor_has_avx512() &&
      !at::autocast::is_autocast_enabled(at::kCPU);
  const at::Tensor images = likes_channels_last ? channels_last(input) : input;
  if (likes_channels_last && stride_ == 1 && !has_bias_ &&
      suits_winograd(images, weight_)) {
    return WinogradConv::apply(images, weight_);
  }
  return at::conv2d(images, weight_, bias_, stride_, kernel_ / 2);
}

}  // namespace lockstep::model
