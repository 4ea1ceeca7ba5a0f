#include "model/winograd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "model/processor.h"
#include "model/winograd_kernels.h"

namespace lockstep::model {
namespace {

using winograd::Filters;
using winograd::Images;
using winograd::kPanel;
using winograd::kPoints;
using winograd::kRows;
using winograd::Points;

// What one thread transforms before it multiplies. Few, so that both sides of the
// product stay in its cache; but each time all filters come by, too.
int64_t tiles_at_once(int64_t in, int64_t out) {
  return std::clamp<int64_t>((in + out) / 4 / kRows * kRows, 64, 256);
}

Images images_of(const at::Tensor& channels_last) {
  return {channels_last.const_data_ptr<float>(), channels_last.size(0),
          channels_last.size(2), channels_last.size(3), channels_last.size(1)};
}

Filters filters_of(const at::Tensor& weight) {
  Filters filters{weight.size(0), weight.size(1), {}};
  for (int64_t i = 0; i < 4; ++i) filters.strides[i] = weight.stride(i);
  return filters;
}

// All tiles of a convolution in blocks, and the blocks in as many parts as there are
// threads; each part has its own memory for what it transforms.
class Work {
 public:
  Work(int64_t tiles, int64_t in, int64_t out)
      : tiles_(tiles), in_(in), out_(out), block_(tiles_at_once(in, out)) {
    const int64_t blocks = (tiles_ + block_ - 1) / block_;
    parts_ = std::min<int64_t>(at::get_num_threads(), blocks);
    memory_ = at::empty({parts_, kPoints * (Points::points_step(block_, in_) +
                                            Points::points_step(block_, out_))});
  }

  int64_t parts() const { return parts_; }

  // step(part, first tile, tiles, [block, in], [block, out])
  template <class Step>
  void run(const Step& step) const {
    at::parallel_for(0, parts_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) run_part(part, step);
    });
  }

 private:
  template <class Step>
  void run_part(int64_t part, const Step& step) const {
    float* memory = memory_.data_ptr<float>() + part * memory_.stride(0);
    const Points in{memory, block_, in_};
    const Points out{memory + kPoints * in.step(), block_, out_};
    const int64_t blocks = (tiles_ + block_ - 1) / block_;
    const int64_t end = (part + 1) * blocks / parts_;
    for (int64_t block = part * blocks / parts_; block < end; ++block) {
      const int64_t first = block * block_;
      step(part, first, std::min(block_, tiles_ - first), in, out);
    }
  }

  int64_t tiles_;
  int64_t in_;
  int64_t out_;
  int64_t block_;
  int64_t parts_ = 0;
  at::Tensor memory_;
};

at::Tensor convolve(const at::Tensor& any_input, const at::Tensor& weight,
                    bool turned) {
  const at::Tensor input = any_input.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t out = weight.size(turned ? 1 : 0);
  const at::Tensor filters = at::empty({kPoints, out, input.size(1)});
  winograd::transform_filters(weight.const_data_ptr<float>(), filters_of(weight),
                              turned, filters.data_ptr<float>());
  const at::Tensor output =
      at::empty({input.size(0), out, input.size(2), input.size(3)},
                input.options().memory_format(at::MemoryFormat::ChannelsLast));
  const Images from = images_of(input);
  const Images to = images_of(output);
  Work(from.tiles(), from.channels, out)
      .run([&](int64_t, int64_t first, int64_t count, const Points& transformed,
               const Points& products) {
        winograd::transform_input(from, first, count, transformed);
        winograd::multiply(transformed, filters.const_data_ptr<float>(), count,
                           products);
        winograd::transform_output(products, to, first, count);
      });
  return output;
}

}  // namespace

bool suits_winograd(const at::Tensor& input, const at::Tensor& weight) {
  const auto suit = [](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.dim() == 4;
  };
  if (!suit(input) || !suit(weight)) return false;
  const auto may_be_channels = [](int64_t count) {
    return count % kPanel == 0 && count <= winograd::kMaxChannels;
  };
  return input.numel() > 0 && weight.size(2) == 3 && weight.size(3) == 3 &&
         input.size(1) == weight.size(1) && may_be_channels(weight.size(0)) &&
         may_be_channels(weight.size(1)) && processor_has_avx512();
}

at::Tensor winograd_convolution(const at::Tensor& input, const at::Tensor& weight) {
  return convolve(input, weight, /*turned=*/false);
}

at::Tensor winograd_input_gradient(const at::Tensor& gradient,
                                   const at::Tensor& weight) {
  return convolve(gradient, weight, /*turned=*/true);
}

at::Tensor winograd_weight_gradient(const at::Tensor& any_input,
                                    const at::Tensor& any_gradient,
                                    const at::Tensor& weight) {
  const at::Tensor input = any_input.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor gradient = any_gradient.contiguous(at::MemoryFormat::ChannelsLast);
  const Images from = images_of(input);
  const Images to = images_of(gradient);
  const Work work(from.tiles(), from.channels, to.channels);
  const at::Tensor sums =
      at::empty({work.parts(), kPoints, from.channels, to.channels});
  std::vector<char> started(static_cast<size_t>(work.parts()));
  work.run([&](int64_t part, int64_t first, int64_t count, const Points& transformed,
               const Points& gradients) {
    winograd::transform_input(from, first, count, transformed);
    winograd::transform_gradient(to, first, count, gradients);
    char& add = started[static_cast<size_t>(part)];
    winograd::multiply_transposed(transformed, gradients, count, add != 0,
                                  sums.data_ptr<float>() + part * sums.stride(0));
    add = 1;
  });
  const at::Tensor sum = work.parts() == 1 ? sums : sums.sum(0);
  at::Tensor wanted = at::empty_like(weight);
  winograd::gradient_of_filters(sum.const_data_ptr<float>(), filters_of(wanted),
                                wanted.data_ptr<float>());
  return wanted;
}

}  // namespace lockstep::model
