#include "model/batch_norm_passes.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "model/batch_norm_kernels.h"
#include "model/lanes.h"
#include "model/processor.h"

namespace lockstep::model::batch_norm {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;
// Rows that are worth a thread.
constexpr int64_t kGrain = 512;

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

at::Tensor of_channels(const at::Tensor& images) {
  return at::zeros({2, images.size(1)}, images.options().dtype(at::kDouble));
}

// For each channel a number, beside the images' values.
at::Tensor spread(const at::Tensor& channels, const at::Tensor& images) {
  return channels.to(images.scalar_type()).view({1, -1, 1, 1});
}

at::Tensor moments_by_kernels(const at::Tensor& images) {
  const int64_t rows = rows_of(images);
  const int64_t channels = images.size(1);
  const float* x = images.const_data_ptr<float>();
  const at::Tensor found =
      at::empty({parts_of(rows), 2, channels}, at::TensorOptions().dtype(at::kDouble));
  for_parts(rows, [&](int64_t part, int64_t first, int64_t count) {
    double* mean = found[part].data_ptr<double>();
    batch_norm::moments(x + first * channels, count, channels, mean, mean + channels);
  });
  at::Tensor joined = found[0];
  double* mean = joined.data_ptr<double>();
  for (int64_t part = 1; part < found.size(0); ++part) {
    const int64_t before = part * rows / found.size(0);
    const int64_t end = (part + 1) * rows / found.size(0);
    const double* more = found[part].const_data_ptr<double>();
    join_moments(mean, mean + channels, before, more, more + channels, end - before,
                 channels);
  }
  return joined;
}

}  // namespace

bool suits_kernels(const at::Tensor& images, const at::Tensor& weight) {
  return images.is_cpu() && images.dim() == 4 && images.scalar_type() == at::kFloat &&
         weight.is_cpu() && weight.scalar_type() == at::kFloat &&
         images.size(1) == weight.size(0) && images.size(1) % kLanes == 0 &&
         images.numel() > 0 && images.is_contiguous(kChannelsLast) &&
         processor_has_avx512();
}

int64_t rows_of(const at::Tensor& images) { return images.numel() / images.size(1); }

at::Tensor Scale::inverse() const {
  return (variance + eps).rsqrt().to(mean.scalar_type());
}

at::Tensor moments(const at::Tensor& images, const at::Tensor& weight) {
  if (images.numel() == 0) return of_channels(images);
  if (suits_kernels(images, weight)) return moments_by_kernels(images);
  const auto [mean, variance] = at::batch_norm_update_stats(images, {}, {}, 0);
  return at::stack({mean.to(at::kDouble),
                    variance.to(at::kDouble) * static_cast<double>(rows_of(images))});
}

at::Tensor normalise(const at::Tensor& images, const Scale& scale,
                     const at::Tensor& bias) {
  if (images.numel() == 0) return at::empty_like(images);
  if (!suits_kernels(images, scale.weight)) {
    const at::Tensor variance = scale.variance.to(images.scalar_type());
    return std::get<0>(at::native_batch_norm(images, scale.weight, bias, scale.mean,
                                             variance, /*training=*/false,
                                             /*momentum=*/0, scale.eps));
  }
  const int64_t channels = images.size(1);
  const at::Tensor slope = scale.inverse() * scale.weight;
  at::Tensor output = at::empty_like(images, kChannelsLast);
  const float* x = images.const_data_ptr<float>();
  float* y = output.data_ptr<float>();
  for_parts(rows_of(images), [&](int64_t, int64_t first, int64_t some) {
    batch_norm::normalise(x + first * channels, some, channels,
                          scale.mean.const_data_ptr<float>(),
                          slope.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                          y + first * channels);
  });
  return output;
}

at::Tensor gradient_sums(const at::Tensor& dy, const at::Tensor& images,
                         const Scale& scale) {
  if (images.numel() == 0) return of_channels(images);
  if (!suits_kernels(images, scale.weight)) {
    // The gradients of a weight and of a bias whose statistics are constants.
    const auto [none, of_weight, of_bias] = at::native_batch_norm_backward(
        dy, images, scale.weight, scale.mean, scale.variance.to(images.scalar_type()),
        {}, {}, /*train=*/false, scale.eps, {false, true, true});
    return at::stack({of_bias.to(at::kDouble),
                      of_weight.to(at::kDouble) * (scale.variance + scale.eps).sqrt()});
  }
  const at::Tensor gradient = dy.contiguous(kChannelsLast);
  const int64_t rows = rows_of(images);
  const int64_t channels = images.size(1);
  const float* incoming = gradient.const_data_ptr<float>();
  const float* x = images.const_data_ptr<float>();
  const at::Tensor found =
      at::zeros({parts_of(rows), 2, channels}, at::TensorOptions(at::kDouble));
  for_parts(rows, [&](int64_t part, int64_t first, int64_t count) {
    double* sums = found[part].data_ptr<double>();
    add_gradient_sums(incoming + first * channels, x + first * channels, count,
                      channels, scale.mean.const_data_ptr<float>(), sums,
                      sums + channels);
  });
  return found.sum(0);
}

at::Tensor input_gradient(const at::Tensor& dy, const at::Tensor& images,
                          const Scale& scale, const at::Tensor& offset,
                          const at::Tensor& slope) {
  const at::Tensor weight = scale.inverse() * scale.weight;
  if (!suits_kernels(images, scale.weight)) {
    return (images - spread(scale.mean, images))
        .mul_(spread(-slope, images))
        .add_(dy)
        .sub_(spread(offset, images))
        .mul_(spread(weight, images));
  }
  const at::Tensor gradient = dy.contiguous(kChannelsLast);
  const int64_t channels = images.size(1);
  const at::Tensor narrow_offset = offset.to(at::kFloat);
  const at::Tensor narrow_slope = slope.to(at::kFloat);
  at::Tensor found = at::empty_like(images, kChannelsLast);
  const float* incoming = gradient.const_data_ptr<float>();
  const float* x = images.const_data_ptr<float>();
  float* dx = found.data_ptr<float>();
  for_parts(rows_of(images), [&](int64_t, int64_t first, int64_t some) {
    batch_norm::gradient(incoming + first * channels, x + first * channels, some,
                         channels, scale.mean.const_data_ptr<float>(),
                         narrow_offset.const_data_ptr<float>(),
                         narrow_slope.const_data_ptr<float>(),
                         weight.const_data_ptr<float>(), dx + first * channels);
  });
  return found;
}

}  // namespace lockstep::model::batch_norm
