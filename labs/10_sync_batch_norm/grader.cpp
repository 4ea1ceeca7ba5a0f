// Lab 10: batch norm whose batch lies on many ranks, beside LibTorch's on one card.
#include "grading/grader.h"

#include <ATen/ATen.h>

#include "labs/10_sync_batch_norm/checks.h"
#include "labs/10_sync_batch_norm/mistakes.h"
#include "labs/graders/listed.h"

namespace lockstep::labs {
namespace {

std::string on_rank(const BatchPlan& plan, int rank, const std::string& what) {
  return plan.text() + what + " of rank " + std::to_string(rank) + ": ";
}

void expect_y(const BatchPlan& plan, const std::string& otherwise,
              const std::string& if_stuck) {
  const std::vector<SeenRank> ranks = seen(plan, Passes::forward, if_stuck);
  const OneCard one = one_card(plan);
  for (int r = 0; r < plan.ranks(); ++r) {
    expect(ranks[static_cast<size_t>(r)].y, one.rows(one.y, plan, r),
           mistakes_of_forward(one, plan, r), otherwise, on_rank(plan, r, "y"));
  }
}

void look_at_forward(uint64_t seed) {
  expect_y({seed, {4, 4}}, "other_batch_norm", "not_every_rank");
  expect_y({seed, {3, 3, 3}}, "two_ranks_only", "two_ranks_only");
  expect_y({seed, {2, 2, 2, 2}}, "two_ranks_only", "two_ranks_only");
}

void look_at_uneven(uint64_t seed) {
  expect_y({seed, {1, 6}}, "mean_of_means", "not_every_rank");
  expect_y({seed, {5, 1, 3}}, "mean_of_means", "not_every_rank");
  expect_y({seed, {3, 0, 2}}, "few_values", "few_values");
  expect_y({seed, {0, 1, 2, 1}, /*height=*/1, /*width=*/1}, "few_values", "few_values");
}

// In fp32, means two thousand deviations from 0: of y three digits are left, and of a
// difference of squares none.
void look_at_digits(uint64_t seed) {
  BatchPlan plan = {seed, {4, 6, 3}, 4, 5, at::kFloat};
  plan.far = 2000;
  const std::vector<SeenRank> ranks = seen(plan, Passes::forward);
  const OneCard one = one_card(plan);
  for (int r = 0; r < plan.ranks(); ++r) {
    const at::Tensor& y = ranks[static_cast<size_t>(r)].y;
    if (y.scalar_type() != plan.type) {
      refuse("other_batch_norm", on_rank(plan, r, "y") + "it is of another type");
    }
    expect(y, one.rows(one.y, plan, r), {}, "cancellation",
           on_rank(plan, r, "y") + "in fp32, means near 2000, ", /*bar=*/2e-3);
  }
}

void expect_one_sum(const std::vector<int64_t>& sums, const std::string& pass,
                    const BatchPlan& plan, int rank) {
  const std::string who =
      plan.text() + "in " + pass + " rank " + std::to_string(rank) + " calls ";
  if (sums.empty()) {
    refuse(pass == "forward" ? "local_statistics" : "local_sums_in_backward",
           who + "no sum");
  }
  if (sums.size() > 1) {
    refuse("two_collectives", who + std::to_string(sums.size()) + " sums, of " +
                                  listed(sums) + " elements, not one");
  }
  // Each rank's own numbers in a place of their own are the most that anybody needs.
  const int64_t most = 4 * (kChannels + 1) * plan.ranks();
  if (sums[0] <= most) return;
  refuse("sends_the_batch", who + "a sum of " + std::to_string(sums[0]) +
                                " elements, more than " + std::to_string(most));
}

void look_at_collectives(uint64_t seed) {
  const BatchPlan plan = {seed, {6, 6, 6}, 4, 4};
  const std::vector<SeenRank> ranks = seen(plan, Passes::both);
  for (int r = 0; r < plan.ranks(); ++r) {
    const SeenRank& rank = ranks[static_cast<size_t>(r)];
    expect_one_sum(rank.forward_sums, "forward", plan, r);
    expect_one_sum(rank.backward_sums, "backward", plan, r);
  }
}

void look_at_running(uint64_t seed) {
  for (const BatchPlan& plan : {BatchPlan{seed, {3, 3}}, BatchPlan{seed, {5, 1, 2}}}) {
    const std::vector<SeenRank> ranks = seen(plan, Passes::forward);
    const std::vector<SeenRank> before = drawn(plan);
    const OneCard one = one_card(plan);
    const OwnStatistics own = own_statistics(one, plan);
    for (int r = 0; r < plan.ranks(); ++r) {
      const auto i = static_cast<size_t>(r);
      const double momentum = one.layer.momentum;
      const double own_count = one.count * static_cast<double>(plan.rows[i]) /
                               static_cast<double>(one.x.size(0));
      const auto mixed = [&](const at::Tensor& old, const at::Tensor& batchs) {
        return old.lerp(batchs, momentum);
      };
      const at::Tensor& mean = before[i].layer.running_mean;
      const at::Tensor& variance = before[i].layer.running_var;
      const at::Tensor unbiased = one.variance * one.count / (one.count - 1);
      const double own_factor = own_count / (own_count - 1);
      expect(ranks[i].layer.running_mean, one.layer.running_mean,
             {{"not_updated", mean},
              {"momentum_the_other_way", mean.lerp(one.mean, 1 - momentum)},
              {"local_statistics", mixed(mean, own.means[i])}},
             "other_running_statistics", on_rank(plan, r, "running mean"));
      expect(ranks[i].layer.running_var, one.layer.running_var,
             {{"not_updated", variance},
              {"momentum_the_other_way", variance.lerp(unbiased, 1 - momentum)},
              {"biased_running_variance", mixed(variance, one.variance)},
              {"local_count_in_running", mixed(variance, one.variance * own_factor)},
              {"local_statistics", mixed(variance, own.variances[i])},
              {"local_statistics", mixed(variance, own.variances[i] * own_factor)}},
             "other_running_statistics", on_rank(plan, r, "running variance"));
    }
  }
}

// By a rank that has a batch where the others have none any more.
void look_at_evaluation(uint64_t seed) {
  const BatchPlan plan = {seed, {4, 2}};
  const SumOverRanks nobody_answers = {
      0, 2, [](const at::Tensor&) -> at::Tensor {
        refuse("sends_in_evaluation",
               "layer.training is false, and it calls sum_over_ranks");
      }};
  const at::NoGradGuard no_grad;
  SeenRank rank = drawn(plan)[0];
  const BatchNormLayer before = drawn(plan)[0].layer;
  rank.layer.training = false;
  Tensors kept;
  const at::Tensor y = sync_batch_norms().at("student")().forward(
      rank.x.clone(), rank.layer, nobody_answers, kept);
  const auto normal = [&](const at::Tensor& mean, const at::Tensor& variance) {
    return (rank.x - wide(mean)) / wide((variance + before.eps).sqrt()) *
               wide(before.weight) +
           wide(before.bias);
  };
  const at::Tensor mean = channel_means(rank.x);
  const at::Tensor variance = channel_means((rank.x - wide(mean)).square());
  expect(y, normal(before.running_mean, before.running_var),
         {{"batch_in_evaluation", normal(mean, variance)}}, "other_batch_norm",
         "in evaluation y: ");
  if (at::equal(rank.layer.running_mean, before.running_mean) &&
      at::equal(rank.layer.running_var, before.running_var)) {
    return;
  }
  refuse("updates_in_evaluation", "the running statistics are others afterwards");
}

void expect_dx(const BatchPlan& plan, const std::string& otherwise) {
  const std::vector<SeenRank> ranks = seen(plan, Passes::both);
  const OneCard one = one_card(plan);
  for (int r = 0; r < plan.ranks(); ++r) {
    expect(ranks[static_cast<size_t>(r)].gradients.x, one.rows(one.dx, plan, r),
           mistakes_of_backward(one, plan, r), otherwise,
           on_rank(plan, r, "the gradient of x"));
  }
}

void look_at_backward(uint64_t seed) {
  expect_dx({seed, {4, 4}}, "other_gradient");
  expect_dx({seed, {3, 3, 3}}, "two_ranks_only");
  expect_dx({seed, {5, 1, 2, 4}}, "local_count");
  expect_dx({seed, {2, 0, 4}}, "few_values");
}

void look_at_parameters(uint64_t seed) {
  const BatchPlan plan = {seed, {4, 2, 3}};
  const std::vector<SeenRank> ranks = seen(plan, Passes::both);
  const OneCard one = one_card(plan);
  const at::Tensor product = channel_sums(one.dy * one.normalised);
  const at::Tensor sum = channel_sums(one.dy);
  for (int r = 0; r < plan.ranks(); ++r) {
    const BatchNormGradients& found = ranks[static_cast<size_t>(r)].gradients;
    expect(found.weight, channel_sums(one.rows(one.dy * one.normalised, plan, r)),
           {{"reduced_twice", product}, {"reduced_twice", product / plan.ranks()}},
           "other_gradient", on_rank(plan, r, "the gradient of weight"));
    expect(found.bias, channel_sums(one.rows(one.dy, plan, r)),
           {{"reduced_twice", sum}, {"reduced_twice", sum / plan.ranks()}},
           "other_gradient", on_rank(plan, r, "the gradient of bias"));
  }
}

grading::Lab lab() {
  return {10,
          "sync_batch_norm",
          "Batch norm over ranks",
          {
              {"forward", "2, 3 and 4 ranks normalise by the whole batch", 2,
               misconception("other_batch_norm"), look_at_forward},
              {"uneven", "also where ranks have more rows than others, one, or none", 2,
               misconception("few_values"), look_at_uneven},
              {"digits", "in fp32, where means are far from 0", 1,
               misconception("cancellation"), look_at_digits},
              {"collectives", "each pass calls sum_over_ranks once, for a few numbers",
               2, misconception("two_collectives"), look_at_collectives},
              {"running", "the running statistics are one card's", 2,
               misconception("other_running_statistics"), look_at_running},
              {"evaluation", "evaluation takes the running statistics, and asks nobody",
               1, misconception("batch_in_evaluation"), look_at_evaluation},
              {"backward", "the gradient of x is one card's", 3,
               misconception("other_gradient"), look_at_backward},
              {"parameters", "gradients of weight and bias are the rank's own part", 1,
               misconception("reduced_twice"), look_at_parameters},
              {"training", "ddp::train() has one card's losses and its accuracy", 1,
               misconception("not_one_cards_losses"), check_training},
          }};
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  return lockstep::grading::run_grader(lockstep::labs::lab(), argc, argv);
}
