// Sums of x and of its squares, in fp64, where their difference keeps its digits.
#include <ATen/ATen.h>

#include "labs/sync_batch_norm.h"

namespace lockstep::labs {
namespace {

const std::vector<int64_t> kAllButChannels = {0, 2, 3};

at::Tensor forward(const at::Tensor& x, const BatchNormLayer& layer,
                   const SumOverRanks& sum_over_ranks, Tensors& kept) {
  const at::Tensor exact = x.to(at::kDouble);
  at::Tensor mean = layer.running_mean.to(at::kDouble);
  at::Tensor variance = layer.running_var.to(at::kDouble);
  at::Tensor count;
  if (layer.training) {
    const at::Tensor ones = at::ones_like(exact);
    const at::Tensor all =
        sum_over_ranks(at::stack({ones.sum(kAllButChannels), exact.sum(kAllButChannels),
                                  (exact * exact).sum(kAllButChannels)}));
    count = all[0];
    mean = all[1] / count;
    variance = all[2] / count - mean * mean;
    layer.running_mean.copy_((1 - layer.momentum) * layer.running_mean +
                             layer.momentum * mean);
    layer.running_var.copy_((1 - layer.momentum) * layer.running_var +
                            layer.momentum * variance * count / (count - 1));
  }
  const auto beside = [](const at::Tensor& v) { return v.reshape({1, -1, 1, 1}); };
  const at::Tensor inverse = at::rsqrt(variance + layer.eps);
  kept = {x, mean, inverse};
  if (count.defined()) kept.push_back(count);
  const at::Tensor y = (exact - beside(mean)) * beside(inverse * layer.weight) +
                       beside(layer.bias.to(at::kDouble));
  return y.to(x.scalar_type());
}

BatchNormGradients backward(const at::Tensor& dy, const BatchNormLayer& layer,
                            const SumOverRanks& sum_over_ranks, const Tensors& kept) {
  const auto beside = [](const at::Tensor& v) { return v.reshape({1, -1, 1, 1}); };
  const at::Tensor centred = kept[0].to(at::kDouble) - beside(kept[1]);
  const at::Tensor g = dy.to(at::kDouble);
  const at::Tensor& inverse = kept[2];
  const at::Tensor own =
      at::stack({g.sum(kAllButChannels), (g * centred).sum(kAllButChannels)});
  const at::Tensor all = sum_over_ranks(own);
  const at::Tensor by_mean = all[0] / kept[3];
  const at::Tensor by_variance = all[1] / kept[3] * inverse * inverse;
  const at::Tensor dx = (g - beside(by_mean) - centred * beside(by_variance)) *
                        beside(inverse * layer.weight);
  const auto type = dy.scalar_type();
  return {dx.to(type), (own[1] * inverse).to(type), own[0].to(type)};
}

const Registered student(sync_batch_norms(), "student", [] {
  return SyncBatchNorm{&forward, &backward};
});

}  // namespace
}  // namespace lockstep::labs
