// Lab 06: buckets that are sent while backward goes on, by the virtual clock: what is
// asked for to the microsecond is the same on every machine.
#include "grading/grader.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "labs/reducers/planned_buckets.h"
#include "labs/reducers/reducer_checks.h"

namespace lockstep::labs {
namespace {

constexpr double kNothing = 1e-9;  // seconds

std::string ms(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f ms", 1e3 * seconds);
  return text;
}

double computes(const SeenSteps& seen) {  // seconds of a backward pass
  return kBackwardSeconds * static_cast<double>(seen.plan.parameters.size());
}

// Rank 0 from the last to the first, rank 1 the other way round, the others anyhow.
StepPlan plan_of_ranks_that_differ(uint64_t seed, int ranks) {
  StepPlan plan = telling_plan(seed, ranks);
  plan.backward_order = [seed, count = plan.parameters.size()](int rank) {
    std::vector<size_t> order(count);
    for (size_t i = 0; i < count; ++i) order[i] = rank == 1 ? i : count - 1 - i;
    std::minstd_rand random(static_cast<unsigned>(seed % 1000003 + 1 + rank));
    if (rank > 1) std::shuffle(order.begin(), order.end(), random);
    return order;
  };
  return plan;
}

void look_at_mean(uint64_t seed) {
  for (const int ranks : {2, 3, 4}) {
    const SeenSteps seen = seen_steps(telling_plan(seed, ranks),
                                      ranks == 2 ? "not_reduced" : "two_ranks_only");
    const size_t in_first = seen.reducing(0, 0).launches.size();
    const size_t in_second = seen.reducing(0, 1).launches.size();
    if (in_first > in_second) {
      refuse("counts_not_reset", "the first step sends " + std::to_string(in_first) +
                                     " buckets, the second " +
                                     std::to_string(in_second));
    }
    expect_means(seen, "launches_too_early");
  }
}

void look_at_hooks(uint64_t seed) {
  const SeenSteps seen = seen_steps(telling_plan(seed, 2), "not_reduced");
  for (int reduction = 0; reduction < seen.plan.reductions; ++reduction) {
    for (int rank = 0; rank < seen.plan.ranks; ++rank) {
      const SeenPass& pass = seen.reducing(rank, reduction);
      const double took = pass.backward_end_s - pass.backward_s;
      if (took <= computes(seen) + kNothing) continue;
      refuse("blocking_hook", "rank " + std::to_string(rank) + "'s backward takes " +
                                  ms(took) + ", of which it computes " +
                                  ms(computes(seen)));
    }
  }
}

// Each bucket is launched at the moment in which its last gradient has come.
void look_at_launches(uint64_t seed) {
  const SeenSteps seen = seen_steps(telling_plan(seed, 2), "not_reduced");
  expect_buckets(seen, "one_message_a_bucket");
  const std::vector<PlannedBucket> buckets = planned_buckets(seen.plan);
  const size_t count = seen.plan.parameters.size();
  for (int reduction = 0; reduction < seen.plan.reductions; ++reduction) {
    for (int rank = 0; rank < seen.plan.ranks; ++rank) {
      const SeenPass& pass = seen.reducing(rank, reduction);
      for (size_t b = 0; b < buckets.size(); ++b) {
        // Its last parameter is the one nearest the input.
        const auto after = static_cast<double>(count - buckets[b].parameters.back());
        const double full_s = kBackwardSeconds * after;
        const double launched_s = pass.launches[b].launched_s - pass.backward_s;
        if (std::abs(launched_s - full_s) <= kNothing) continue;
        refuse(launched_s > full_s ? "no_overlap" : "launches_too_early",
               "bucket " + std::to_string(b) + " of " + std::to_string(buckets.size()) +
                   " is full " + ms(full_s) + " after backward began and launched " +
                   ms(launched_s) + " after; backward takes " +
                   ms(pass.backward_end_s - pass.backward_s));
      }
    }
  }
}

void look_at_order(uint64_t seed) {
  for (const int ranks : {2, 4}) {
    const SeenSteps seen =
        seen_steps(plan_of_ranks_that_differ(seed, ranks), "completion_order");
    expect_buckets(seen, "completion_order");
    expect_means(seen, "completion_order");
  }
}

// What backward does not hide, beside the house's own reducer on the same plan.
void look_at_exposed(uint64_t seed) {
  for (StepPlan plan : {telling_plan(seed, 2), plan_of_ranks_that_differ(seed, 3)}) {
    plan.reductions = 1;
    const SeenSteps seen = seen_steps(plan, "completion_order");
    plan.reducer = "bucketed";
    const SeenSteps reference = take_steps(plan);
    for (int rank = 0; rank < plan.ranks; ++rank) {
      const auto exposed = [rank](const SeenSteps& steps) {
        const SeenPass& pass = steps.reducing(rank, 0);
        return pass.end_s - pass.backward_s - computes(steps);
      };
      if (exposed(seen) <= exposed(reference) + kNothing) continue;
      refuse("no_overlap", "rank " + std::to_string(rank) + " of " +
                               std::to_string(plan.ranks) + " waits " +
                               ms(exposed(seen)) + " beside what it computes, not " +
                               ms(exposed(reference)));
    }
  }
}

void look_at_unused(uint64_t seed) {
  for (const int64_t accumulate : {1, 2}) {
    StepPlan plan = telling_plan(seed, 3);
    plan.reductions = 3;
    plan.options.accumulate = accumulate;
    plan.uses = [](int rank, int64_t pass, size_t p) {
      return p % 4 != 1 || (rank + pass) % 3 != 0;
    };
    const SeenSteps seen = seen_steps(plan, "unused_parameter");
    expect_buckets(seen, "unused_parameter");
    expect_means(seen, "stale_bucket");
  }
}

void look_at_accumulation(uint64_t seed) {
  StepPlan plan = telling_plan(seed, 2);
  plan.options.accumulate = 3;
  const SeenSteps seen = seen_steps(plan, "communicates_while_accumulating");
  expect_silence_while_accumulating(seen);
  expect_means(seen, "clears_while_accumulating");
}

grading::Lab lab() {
  return {6,
          "overlap",
          "Overlap",
          {
              {"mean", "2, 3 and 4 ranks hold the mean gradient, the same to the bit",
               2, misconception("not_reduced"), look_at_mean},
              {"hooks", "backward takes as long as without communication", 2,
               misconception("blocking_hook"), look_at_hooks},
              {"launches", "each bucket is launched at the moment it is full", 3,
               misconception("no_overlap"), look_at_launches},
              {"order", "all ranks launch alike, whatever order gradients come in", 2,
               misconception("completion_order"), look_at_order},
              {"exposed", "what backward does not hide is no more than the reference's",
               2, misconception("no_overlap"), look_at_exposed},
              {"accumulation", "of three passes only the last one's hooks launch", 1,
               misconception("communicates_while_accumulating"), look_at_accumulation},
              {"unused", "buckets whose gradients do not come are sent all the same", 2,
               misconception("unused_parameter"), look_at_unused},
              {"training", "ddp::train() has one card's losses, five times on threads",
               1, misconception("reads_before_wait"),
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
