// Lab 05: the gradients of several parameters in one message.
#include "grading/grader.h"

#include "labs/reducers/planned_buckets.h"
#include "labs/reducers/reducer_checks.h"

namespace lockstep::labs {
namespace {

void look_at_assignment(uint64_t seed) {
  for (uint64_t i = 0; i < 3; ++i) {
    expect_buckets(seen_steps(telling_plan(seed + i, 2), "rank_dependent_buckets"),
                   "cap_closes_late_or_early");
  }
}

void look_at_edges(uint64_t seed) {
  StepPlan plan = telling_plan(seed, 2);
  plan.reductions = 1;
  plan.parameters[4].sizes = {1};
  plan.parameters[8].sizes = {701};
  const int64_t large = 701 * sizeof(double);
  for (const int64_t cap :
       {int64_t{0}, int64_t{1}, large - 8, large, int64_t{1} << 40}) {
    plan.options.bucket_cap_bytes = cap;
    expect_buckets(seen_steps(plan, "rank_dependent_buckets"),
                   "cap_closes_late_or_early");
  }
}

void look_at_types(uint64_t seed) {
  StepPlan plan = telling_plan(seed, 2);
  for (const size_t p : {1, 2, 5, 7}) plan.parameters[p].type = at::kFloat;
  const SeenSteps seen = seen_steps(plan, "one_type_a_bucket");
  expect_buckets(seen, "one_type_a_bucket");
  expect_means(seen, "one_type_a_bucket");
}

void look_at_mean(uint64_t seed) {
  for (const int ranks : {2, 3, 4}) {
    expect_means(seen_steps(telling_plan(seed, ranks),
                            ranks == 2 ? "not_reduced" : "two_ranks_only"),
                 "bucket_reused");
  }
}

void look_at_layout(uint64_t seed) {
  StepPlan plan = telling_plan(seed, 2);
  plan.parameters[3] = {{5, 12}, at::kDouble, /*transposed=*/true};
  expect_means(seen_steps(plan, "assumes_rows"), "assumes_rows");
}

void look_at_unused(uint64_t seed) {
  StepPlan plan = telling_plan(seed, 3);
  plan.reductions = 3;
  plan.uses = [](int rank, int64_t pass, size_t p) {
    return p % 4 != 1 || (rank + pass) % 3 != 0;
  };
  const SeenSteps seen = seen_steps(plan, "rank_dependent_buckets");
  expect_means(seen, "stale_bucket");
  expect_buckets(seen, "rank_dependent_buckets");
}

void look_at_accumulation(uint64_t seed) {
  StepPlan plan = telling_plan(seed, 2);
  plan.options.accumulate = 3;
  const SeenSteps seen = seen_steps(plan, "communicates_while_accumulating");
  expect_silence_while_accumulating(seen);
  expect_means(seen, "clears_while_accumulating");
}

grading::Lab lab() {
  return {5,
          "buckets",
          "Buckets",
          {
              {"assignment", "one all_reduce a bucket, last parameter first", 3,
               misconception("registration_order"), look_at_assignment},
              {"edges", "no cap, a tiny one, a parameter beyond it, one bucket for all",
               2, misconception("cap_closes_late_or_early"), look_at_edges},
              {"mean", "2, 3 and 4 ranks hold the mean gradient, the same to the bit",
               3, misconception("bucket_reused"), look_at_mean},
              {"types", "gradients of another type in buckets of their own", 1,
               misconception("one_type_a_bucket"), look_at_types},
              {"layout", "a parameter that lies in memory column by column", 1,
               misconception("assumes_rows"), look_at_layout},
              {"unused", "a rank without some gradients sends the same buckets", 2,
               misconception("stale_bucket"), look_at_unused},
              {"accumulation", "of three passes the last one's sum is sent", 1,
               misconception("communicates_while_accumulating"), look_at_accumulation},
              {"training", "ddp::train() has one card's losses, five times on threads",
               2, misconception("reads_before_wait"),
               [](uint64_t seed) {
                 expect_training_as_on_one_card(seed, {2, /*bucket_cap_bytes=*/20000});
               }},
          }};
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  return lockstep::grading::run_grader(lockstep::labs::lab(), argc, argv);
}
