#include "model/batch_norm.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>

#include "model/batch_norm_kernels.h"
#include "model/lanes.h"
#include "model/processor.h"

namespace lockstep::model {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;
// Rows that are worth a thread.
constexpr int64_t kGrain = 512;

int64_t rows_of(const at::Tensor& images) { return images.numel() / images.size(1); }

// In as many parts as there are threads: step(part, first row, rows).
int64_t parts_of(int64_t rows) {
  return std::clamp<int64_t>(rows / kGrain, 1, at::get_num_threads());
}
template <class Step>
void for_parts(int64_t rows, const Step& step) {
  const int64_t parts = parts_of(rows);
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * rows / parts;
      step(part, first, (part + 1) * rows / parts - first);
    }
  });
}

class ChannelsLastNorm : public torch::autograd::Function<ChannelsLastNorm> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias, at::Tensor running_mean,
                            at::Tensor running_var, double momentum, double eps) {
    const int64_t rows = rows_of(input);
    const int64_t channels = input.size(1);
    const float* x = input.const_data_ptr<float>();
    const auto options = at::TensorOptions().dtype(at::kDouble);
    const at::Tensor found = at::empty({parts_of(rows), 2, channels}, options);
    for_parts(rows, [&](int64_t part, int64_t first, int64_t count) {
      double* mean = found[part].data_ptr<double>();
      batch_norm::moments(x + first * channels, count, channels, mean, mean + channels);
    });
    at::Tensor mean = found[0][0];
    at::Tensor squares = found[0][1];
    for (int64_t part = 1; part < found.size(0); ++part) {
      const int64_t before = part * rows / found.size(0);
      const int64_t end = (part + 1) * rows / found.size(0);
      batch_norm::join_moments(mean.data_ptr<double>(), squares.data_ptr<double>(),
                               before, found[part][0].const_data_ptr<double>(),
                               found[part][1].const_data_ptr<double>(), end - before,
                               channels);
    }
    const auto count = static_cast<double>(rows);
    running_mean.mul_(1 - momentum).add_(mean.to(at::kFloat), momentum);
    running_var.mul_(1 - momentum)
        .add_((squares / (count - 1)).to(at::kFloat), momentum);

    mean = mean.to(at::kFloat);
    const at::Tensor inverse = (squares / count + eps).rsqrt().to(at::kFloat);
    const at::Tensor scale = inverse * weight;
    at::Tensor output = at::empty_like(input, kChannelsLast);
    for_parts(rows, [&](int64_t, int64_t first, int64_t some) {
      batch_norm::normalise(x + first * channels, some, channels,
                            mean.const_data_ptr<float>(), scale.const_data_ptr<float>(),
                            bias.const_data_ptr<float>(),
                            output.data_ptr<float>() + first * channels);
    });
    context->save_for_backward({input, weight, mean, inverse});
    return output;
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor& input = saved[0];
    const at::Tensor& mean = saved[2];
    const at::Tensor& inverse = saved[3];
    const at::Tensor gradient = gradients[0].contiguous(kChannelsLast);
    const int64_t rows = rows_of(input);
    const int64_t channels = input.size(1);
    const float* dy = gradient.const_data_ptr<float>();
    const float* x = input.const_data_ptr<float>();
    const at::Tensor found =
        at::zeros({parts_of(rows), 2, channels}, at::TensorOptions(at::kDouble));
    for_parts(rows, [&](int64_t part, int64_t first, int64_t count) {
      double* sums = found[part].data_ptr<double>();
      batch_norm::add_gradient_sums(dy + first * channels, x + first * channels, count,
                                    channels, mean.const_data_ptr<float>(), sums,
                                    sums + channels);
    });
    const at::Tensor sums = found.sum(0);
    const at::Tensor wide_inverse = inverse.to(at::kDouble);
    torch::autograd::variable_list wanted(7);
    wanted[1] = (sums[1] * wide_inverse).to(at::kFloat);
    wanted[2] = sums[0].to(at::kFloat);
    if (!context->needs_input_grad(0)) return wanted;
    const auto count = static_cast<double>(rows);
    const at::Tensor offset = (sums[0] / count).to(at::kFloat);
    const at::Tensor slope =
        (sums[1] * wide_inverse * wide_inverse / count).to(at::kFloat);
    const at::Tensor scale = inverse * saved[1];
    wanted[0] = at::empty_like(input, kChannelsLast);
    float* dx = wanted[0].data_ptr<float>();
    for_parts(rows, [&](int64_t, int64_t first, int64_t some) {
      batch_norm::gradient(dy + first * channels, x + first * channels, some, channels,
                           mean.const_data_ptr<float>(), offset.const_data_ptr<float>(),
                           slope.const_data_ptr<float>(), scale.const_data_ptr<float>(),
                           dx + first * channels);
    });
    return wanted;
  }
};

bool suits_channels_last_norm(const at::Tensor& input, const at::Tensor& weight) {
  return input.is_cpu() && input.dim() == 4 && input.scalar_type() == at::kFloat &&
         weight.is_cpu() && weight.scalar_type() == at::kFloat &&
         input.size(1) == weight.size(0) && input.size(1) % kLanes == 0 &&
         input.numel() > input.size(1) && input.is_contiguous(kChannelsLast) &&
         processor_has_avx512();
}

}  // namespace

at::Tensor BatchNormImpl::forward(const at::Tensor& input) {
  if (!is_training() || !suits_channels_last_norm(input, weight)) {
    return BatchNormImplBase::forward(input);
  }
  num_batches_tracked += 1;
  return ChannelsLastNorm::apply(input, weight, bias, running_mean, running_var,
                                 *options.momentum(), options.eps());
}

// As torch/csrc/api/src/nn/modules/batchnorm.cpp.
void BatchNormImpl::_check_input_dim(const at::Tensor& input) {
  TORCH_CHECK(input.dim() == 4, "expected 4D input (got ", input.dim(), "D input)");
}

}  // namespace lockstep::model
