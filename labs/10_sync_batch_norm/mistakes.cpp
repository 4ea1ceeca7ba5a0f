#include "labs/10_sync_batch_norm/mistakes.h"

#include <ATen/ATen.h>

namespace lockstep::labs {

void expect(const at::Tensor& found, const at::Tensor& wanted,
            const std::vector<Mistake>& mistakes, const std::string& otherwise,
            const std::string& where, double bar) {
  if (!found.defined() || found.sizes() != wanted.sizes()) {
    refuse(otherwise, where + "it is of another shape");
  }
  if (close(found, wanted, bar)) return;
  const std::string saw = where + where_they_differ(found, wanted);
  for (const Mistake& mistake : mistakes) {
    if (close(found, mistake.gives, bar)) refuse(mistake.misconception, saw);
  }
  refuse(otherwise, saw);
}

OwnStatistics own_statistics(const OneCard& one, const BatchPlan& plan) {
  OwnStatistics own;
  for (int r = 0; r < plan.ranks(); ++r) {
    const at::Tensor x = one.rows(one.x, plan, r);
    own.means.push_back(channel_means(x));
    own.variances.push_back(channel_means((x - wide(own.means.back())).square()));
  }
  return own;
}

namespace {

at::Tensor mean_of(const std::vector<at::Tensor>& tensors) {
  return at::stack(tensors).mean(0);
}

}  // namespace

std::vector<Mistake> mistakes_of_forward(const OneCard& one, const BatchPlan& plan,
                                         int rank) {
  const auto r = static_cast<size_t>(rank);
  const OwnStatistics own = own_statistics(one, plan);
  const at::Tensor x = one.rows(one.x, plan, rank);
  const auto scaled = [&](const at::Tensor& mean, const at::Tensor& deviation) {
    return (x - wide(mean)) / wide(deviation) * wide(one.layer.weight) +
           wide(one.layer.bias);
  };
  const auto y = [&](const at::Tensor& mean, const at::Tensor& variance) {
    return scaled(mean, (variance + one.layer.eps).sqrt());
  };
  const at::Tensor root = one.variance.sqrt();
  const at::Tensor means = mean_of(own.means);
  const at::Tensor variances = mean_of(own.variances);
  const at::Tensor of_means =
      (at::stack(own.means) - means).square().mean(0) + variances;
  const at::Tensor about_means = channel_means((one.x - wide(means)).square());
  return {
      {"local_statistics", y(own.means[r], own.variances[r])},
      {"mean_of_variances", y(one.mean, variances)},
      {"mean_of_means", y(means, of_means)},
      {"mean_of_means", y(means, one.variance)},
      {"mean_of_means", y(means, about_means)},
      {"mean_of_means", y(means, variances)},
      {"unbiased_in_forward", y(one.mean, one.variance * one.count / (one.count - 1))},
      {"eps_outside", scaled(one.mean, root + one.layer.eps)},
      {"eps_outside", scaled(one.mean, root)},
      {"weight_and_bias", one.rows(one.normalised, plan, rank)},
      {"weight_and_bias",
       one.rows(one.normalised * wide(one.layer.weight), plan, rank)},
      {"weight_and_bias", one.rows(one.normalised, plan, rank) + wide(one.layer.bias)},
  };
}

std::vector<Mistake> mistakes_of_backward(const OneCard& one, const BatchPlan& plan,
                                          int rank) {
  const at::Tensor scale = one.layer.weight / (one.variance + one.layer.eps).sqrt();
  const at::Tensor sum = channel_sums(one.dy);
  const at::Tensor product = channel_sums(one.dy * one.normalised);
  const at::Tensor none = at::zeros_like(sum);
  const at::Tensor dy = one.rows(one.dy, plan, rank);
  const at::Tensor normalised = one.rows(one.normalised, plan, rank);
  const double own_count = static_cast<double>(dy.numel() / kChannels);
  const at::Tensor own_sum = channel_sums(dy);
  const at::Tensor own_product = channel_sums(dy * normalised);
  const auto dx = [&](const at::Tensor& first, const at::Tensor& second) {
    return (dy - wide(first) - normalised * wide(second)) * wide(scale);
  };
  return {
      {"local_sums_in_backward", dx(own_sum / own_count, own_product / own_count)},
      {"local_sums_in_backward", dx(own_sum / one.count, own_product / one.count)},
      {"local_count", dx(sum / own_count, product / own_count)},
      {"no_mean_term", dx(none, none)},
      {"no_mean_term", dx(none, product / one.count)},
      {"no_mean_term", dx(sum / one.count, none)},
      {"weight_and_bias",
       dx(sum / one.count, product / one.count) / wide(one.layer.weight)},
  };
}

}  // namespace lockstep::labs
