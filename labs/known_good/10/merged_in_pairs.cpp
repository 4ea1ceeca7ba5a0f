// One rank's statistics after the other are merged into those so far, as Chan, Golub &
// LeVeque have it, each channel's values in a row.
#include <ATen/ATen.h>

#include <cmath>

#include "labs/sync_batch_norm.h"

namespace lockstep::labs {
namespace {

at::Tensor in_rows(const at::Tensor& x) {
  return x.transpose(0, 1).reshape({x.size(1), x.numel() / x.size(1)});
}

at::Tensor as_images(const at::Tensor& rows, const at::Tensor& like) {
  return rows.view({like.size(1), like.size(0), like.size(2), like.size(3)})
      .transpose(0, 1)
      .contiguous();
}

struct Statistics {
  double count = 0;
  at::Tensor mean, spread;  // [channels, 1]

  void merge(double n, const at::Tensor& m, const at::Tensor& s) {
    if (n == 0) return;
    const double all = count + n;
    const at::Tensor apart = m - mean;
    mean = mean + apart * (n / all);
    spread = spread + s + apart * apart * (count * n / all);
    count = all;
  }
};

class Layer {
 public:
  static at::Tensor forward(const at::Tensor& x, const BatchNormLayer& layer,
                            const SumOverRanks& sum_over_ranks, Tensors& kept) {
    const at::Tensor rows = in_rows(x);
    const at::Tensor weight = layer.weight.unsqueeze(1), bias = layer.bias.unsqueeze(1);
    if (!layer.training) {
      const at::Tensor deviation = (layer.running_var + layer.eps).sqrt().unsqueeze(1);
      return as_images(
          (rows - layer.running_mean.unsqueeze(1)) / deviation * weight + bias, x);
    }
    const Statistics all = of_all_ranks(rows, sum_over_ranks);
    const double m = layer.momentum;
    layer.running_mean.mul_(1 - m).add_(all.mean.squeeze(1), m);
    layer.running_var.mul_(1 - m).add_(all.spread.squeeze(1), m / (all.count - 1));
    const at::Tensor deviation = (all.spread / all.count + layer.eps).sqrt();
    const at::Tensor normalised = (rows - all.mean) / deviation;
    kept.push_back(normalised);
    kept.push_back(deviation);
    kept.push_back(at::scalar_tensor(all.count, at::kDouble));
    return as_images(normalised * weight + bias, x);
  }

  static BatchNormGradients backward(const at::Tensor& dy, const BatchNormLayer& layer,
                                     const SumOverRanks& sum_over_ranks,
                                     const Tensors& kept) {
    const at::Tensor g = in_rows(dy);
    const at::Tensor bias = g.sum(1), weight = (g * kept[0]).sum(1);
    const int64_t channels = g.size(0);
    const at::Tensor all = sum_over_ranks(at::cat({bias, weight}));
    const auto count = kept[2].item<double>();
    at::Tensor dx = g * count - all.narrow(0, 0, channels).unsqueeze(1) -
                    kept[0] * all.narrow(0, channels, channels).unsqueeze(1);
    dx = dx * (layer.weight.unsqueeze(1) / (kept[1] * count));
    return {as_images(dx, dy), weight, bias};
  }

 private:
  static Statistics of_all_ranks(const at::Tensor& rows,
                                 const SumOverRanks& sum_over_ranks) {
    const int64_t channels = rows.size(0), values = rows.size(1);
    at::Tensor table = at::zeros({2 * channels + 1, sum_over_ranks.world_size},
                                 rows.options().dtype(at::kDouble));
    if (values > 0) {
      const at::Tensor exact = rows.to(at::kDouble);
      const at::Tensor mean = exact.mean(1);
      table.select(1, sum_over_ranks.rank)
          .copy_(at::cat({at::full({1}, static_cast<double>(values), at::kDouble), mean,
                          (exact - mean.unsqueeze(1)).pow(2).sum(1)}));
    }
    table = sum_over_ranks(table);
    Statistics all;
    all.mean = all.spread = at::zeros({channels, 1}, at::kDouble);
    for (int64_t r = 0; r < sum_over_ranks.world_size; ++r) {
      const at::Tensor column = table.select(1, r);
      all.merge(column[0].item<double>(), column.narrow(0, 1, channels).unsqueeze(1),
                column.narrow(0, 1 + channels, channels).unsqueeze(1));
    }
    all.mean = all.mean.to(rows.scalar_type());
    all.spread = all.spread.to(rows.scalar_type());
    return all;
  }
};

const Registered student(sync_batch_norms(), "student", [] {
  return SyncBatchNorm{&Layer::forward, &Layer::backward};
});

}  // namespace
}  // namespace lockstep::labs
