#include "labs/10_sync_batch_norm/checks.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <sstream>

#include "labs/graders/unwritten_is_nan.h"
#include "simulator/simulation.h"

namespace lockstep::labs {

Registry<SyncBatchNorm()>& sync_batch_norms() {
  static Registry<SyncBatchNorm()> known("batch norm over ranks", {});
  return known;
}

namespace {

struct Known {
  const char* id;
  const char* says;
  const char* read;
};
constexpr std::array kKnown = {
    Known{"other_batch_norm",
          "y = (x - mean) / sqrt(variance + eps) * weight + bias, channel by channel",
          "3_ddp.md#sync-batch-norm"},
    Known{"local_statistics",
          "mean and variance are those of the batch that lies on all ranks",
          "3_ddp.md#sync-batch-norm"},
    Known{"two_ranks_only", "ranks may be any number: a sum over them is no pair's",
          "3_ddp.md#any-number-of-ranks"},
    Known{"eps_outside", "eps stands under the root, beside the variance",
          "3_ddp.md#sync-batch-norm"},
    Known{"weight_and_bias", "what is normalised is scaled by weight, and bias added",
          "3_ddp.md#sync-batch-norm"},
    Known{"unbiased_in_forward",
          "a batch is normalised by its own variance, over the count; count - 1 is for "
          "the running one",
          "3_ddp.md#batch-norm-running"},
    Known{
        "mean_of_variances",
        "variances about each rank's own mean leave out how far those means lie apart",
        "3_ddp.md#batch-norm-statistics"},
    Known{"mean_of_means",
          "each rank's mean weighs as many values as it has, and they may have "
          "different numbers",
          "3_ddp.md#batch-norm-statistics"},
    Known{"few_values",
          "a rank with one value or none takes part, and what it gives is a number",
          "3_ddp.md#batch-norm-statistics"},
    Known{"not_every_rank",
          "a collective ends when every rank has called it, alike, whatever its batch",
          "3_ddp.md#batch-norm-collective"},
    Known{
        "cancellation",
        "the mean of squares less the square of the mean: two large numbers that agree "
        "in all digits but the last",
        "3_ddp.md#batch-norm-digits"},
    Known{"two_collectives",
          "what the ranks tell each other in a pass fits into one message",
          "3_ddp.md#batch-norm-collective"},
    Known{"sends_the_batch", "ranks exchange some numbers a channel, never the batch",
          "3_ddp.md#batch-norm-collective"},
    Known{"local_sums_in_backward",
          "the batch's mean and variance stand in every rank's y: their gradient is a "
          "sum over all ranks' dy",
          "3_ddp.md#batch-norm-backward"},
    Known{"no_mean_term",
          "x moves the mean and the variance as well: two terms, beside dy's own",
          "3_ddp.md#batch-norm-backward"},
    Known{"local_count", "sums over all ranks are divided by the count over all ranks",
          "3_ddp.md#batch-norm-backward"},
    Known{"reduced_twice",
          "gradients of weight and bias are this rank's own part: the reducer brings "
          "them together as it does all others",
          "3_ddp.md#batch-norm-parameters"},
    Known{"other_gradient", "the gradient is that of one card's batch norm",
          "3_ddp.md#batch-norm-backward"},
    Known{"not_updated", "forward in training takes the running statistics along",
          "3_ddp.md#batch-norm-running"},
    Known{"momentum_the_other_way",
          "momentum is the weight of the new: 0.1 keeps nine tenths of the old",
          "3_ddp.md#batch-norm-running"},
    Known{"biased_running_variance",
          "the running variance takes the unbiased one: the spread over count - 1",
          "3_ddp.md#batch-norm-running"},
    Known{"local_count_in_running",
          "count - 1 is of the batch of all ranks, not of this rank's",
          "3_ddp.md#batch-norm-running"},
    Known{"other_running_statistics",
          "running = (1 - momentum) * running + momentum * the batch's",
          "3_ddp.md#batch-norm-running"},
    Known{
        "not_one_cards_losses",
        "what backward needs lies in `kept`, of this layer and this step; and what is "
        "right once is right in every step",
        "3_ddp.md#batch-norm-backward"},
    Known{"sends_in_evaluation",
          "an evaluation asks nobody: ranks need not have as many batches there",
          "3_ddp.md#batch-norm-evaluation"},
    Known{"batch_in_evaluation",
          "in evaluation the running statistics stand in the batch's place",
          "3_ddp.md#batch-norm-evaluation"},
    Known{"updates_in_evaluation", "an evaluation leaves the running statistics alone",
          "3_ddp.md#batch-norm-evaluation"},
};

at::Tensor draw(const std::vector<int64_t>& sizes, uint64_t seed) {
  const at::Generator random = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, random, at::TensorOptions().dtype(at::kDouble));
}

BatchNormLayer drawn_layer(const BatchPlan& plan) {
  BatchNormLayer layer;
  const auto vector = [&](uint64_t number) {
    return draw({kChannels}, plan.seed + 100 + number).to(plan.type);
  };
  layer.weight = vector(0);
  layer.bias = vector(1);
  layer.running_mean = vector(2);
  layer.running_var = vector(3).abs() + 0.5;
  layer.eps = 0.2;  // so large that it shows
  layer.momentum = 0.3;
  return layer;
}

at::Tensor joined(const std::vector<SeenRank>& ranks, at::Tensor SeenRank::*part) {
  std::vector<at::Tensor> parts;
  for (const SeenRank& rank : ranks) parts.push_back((rank.*part).to(at::kDouble));
  return at::cat(parts);
}

SumOverRanks sum_of(simulator::Rank& rank, std::vector<int64_t>& elements) {
  const auto sum = [&rank, &elements](const at::Tensor& own) {
    elements.push_back(own.numel());
    const at::Tensor all = own.detach().clone(at::MemoryFormat::Contiguous);
    rank.group().all_reduce(all).wait();
    return all;
  };
  return {rank.rank(), rank.size(), sum};
}

}  // namespace

std::string BatchPlan::text() const {
  std::string words = std::to_string(ranks()) + " ranks with ";
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) words += i + 1 < rows.size() ? ", " : " and ";
    words += std::to_string(rows[i]);
  }
  return words + " rows: ";
}

// Ranks whose means lie apart, and whose deviations differ.
std::vector<SeenRank> drawn(const BatchPlan& plan) {
  std::vector<SeenRank> ranks;
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    const std::vector<int64_t> sizes = {plan.rows[r], kChannels, plan.height,
                                        plan.width};
    SeenRank& rank = ranks.emplace_back();
    const at::Tensor shift = draw({kChannels}, plan.seed + 1000 + r) + plan.far;
    const at::Tensor x = draw(sizes, plan.seed + 2000 + r);
    rank.x = (x * (0.5 + 0.5 * static_cast<double>(r % 3)) + wide(shift)).to(plan.type);
    rank.dy = draw(sizes, plan.seed + 3000 + r).to(plan.type);
    rank.layer = drawn_layer(plan);
  }
  return ranks;
}

std::vector<SeenRank> seen(const BatchPlan& plan, Passes passes,
                           const std::string& if_stuck) {
  const UnwrittenIsNaN unwritten_is_nan;
  std::vector<SeenRank> ranks = drawn(plan);
  const SyncBatchNorm student = sync_batch_norms().at("student")();
  predict::Cluster cluster;
  cluster.cards_per_host = plan.ranks();
  cluster.inside = predict::link_named("pcie");
  simulator::Simulation simulation(plan.ranks(), cluster, plan.seed);
  try {
    simulation.run([&](simulator::Rank& on) {
      const at::NoGradGuard no_grad;
      SeenRank& rank = ranks[static_cast<size_t>(on.rank())];
      Tensors kept;
      rank.y = student.forward(rank.x.clone(), rank.layer,
                               sum_of(on, rank.forward_sums), kept);
      if (passes == Passes::forward) return;
      rank.gradients = student.backward(rank.dy.clone(), rank.layer,
                                        sum_of(on, rank.backward_sums), kept);
    });
  } catch (const simulator::Deadlock& error) {
    refuse(if_stuck, plan.text() + error.what());
  } catch (const simulator::Mismatch& error) {
    refuse(if_stuck, plan.text() + error.what());
  }
  return ranks;
}

OneCard one_card(const BatchPlan& plan) {
  const std::vector<SeenRank> ranks = drawn(plan);
  OneCard one;
  one.x = joined(ranks, &SeenRank::x).requires_grad_();
  one.dy = joined(ranks, &SeenRank::dy);
  one.layer = ranks[0].layer;
  for (at::Tensor* tensor : {&one.layer.weight, &one.layer.bias,
                             &one.layer.running_mean, &one.layer.running_var}) {
    *tensor = tensor->to(at::kDouble);
  }
  one.y = at::batch_norm(one.x, one.layer.weight, one.layer.bias,
                         one.layer.running_mean, one.layer.running_var,
                         /*training=*/true, one.layer.momentum, one.layer.eps,
                         /*cudnn_enabled=*/false);
  one.dx = torch::autograd::grad({one.y}, {one.x}, {one.dy})[0];
  one.x = one.x.detach();
  one.y = one.y.detach();
  one.count = static_cast<double>(one.x.numel() / kChannels);
  one.mean = channel_means(one.x);
  one.variance = channel_means((one.x - wide(one.mean)).square());
  one.normalised =
      (one.x - wide(one.mean)) / wide((one.variance + one.layer.eps).sqrt());
  return one;
}

at::Tensor OneCard::rows(const at::Tensor& of_all, const BatchPlan& plan,
                         int rank) const {
  int64_t first = 0;
  for (int r = 0; r < rank; ++r) first += plan.rows[static_cast<size_t>(r)];
  return of_all.narrow(0, first, plan.rows[static_cast<size_t>(rank)]);
}

at::Tensor wide(const at::Tensor& of_channels) {
  return of_channels.view({1, -1, 1, 1});
}
at::Tensor channel_sums(const at::Tensor& x) { return x.sum({0, 2, 3}); }
at::Tensor channel_means(const at::Tensor& x) { return x.mean({0, 2, 3}); }

bool close(const at::Tensor& a, const at::Tensor& b, double bar) {
  const double error = (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>();
  return error <= bar * b.to(at::kDouble).norm().item<double>();
}

std::string where_they_differ(const at::Tensor& found, const at::Tensor& wanted) {
  const at::Tensor a = found.flatten().to(at::kDouble);
  const at::Tensor b = wanted.flatten().to(at::kDouble);
  const auto most = (a - b).abs().argmax().item<int64_t>();  // NaN is the most
  std::ostringstream text;
  text.precision(8);
  text << "element " << most << " is " << a[most].item<double>() << ", not one card's "
       << b[most].item<double>();
  return text.str();
}

grading::Misconception misconception(const std::string& id) {
  for (const Known& known : kKnown) {
    if (known.id == id) return {id, known.says, known.read};
  }
  throw std::logic_error("no misconception is called " + id);
}

void refuse(const std::string& misconception_id, const std::string& saw) {
  throw grading::Refused(misconception(misconception_id), saw);
}

}  // namespace lockstep::labs
