#include "labs/reducers/reducer_checks.h"

#include <array>
#include <stdexcept>

namespace lockstep::labs {
namespace {

using grading::Misconception;
using grading::Refused;

struct Known {
  const char* id;
  const char* says;
  const char* read;
};
constexpr std::array kKnown = {
    Known{"no_initial_broadcast",
          "replicas do not start equal by themselves: rank 0's parameters go to all",
          "3_ddp.md#start-equal"},
    Known{
        "no_buffer_broadcast",
        "buffers are part of the model: no gradient brings them together, so rank 0's "
        "are sent at the start and before every forward",
        "3_ddp.md#buffers"},
    Known{"sum_for_mean",
          "all_reduce adds up; the mean is that sum, after wait(), over world_size",
          "3_ddp.md#the-mean"},
    Known{"divided_twice",
          "the sum is divided by world_size once, before or after, not both",
          "3_ddp.md#the-mean"},
    Known{"reduces_the_parameter",
          "what is averaged is the gradient; the parameters are the optimizer's",
          "3_ddp.md#gradients-not-parameters"},
    Known{"not_reduced", "every gradient is to become the mean, on every rank",
          "3_ddp.md#the-mean"},
    Known{"low_precision", "gradients are added up in their own type",
          "3_ddp.md#precision"},
    Known{"ranks_differ",
          "ranks that add up in orders of their own round differently and drift apart",
          "3_ddp.md#any-number-of-ranks"},
    Known{"two_ranks_only", "a collective is for any number of ranks, not for a pair",
          "3_ddp.md#any-number-of-ranks"},
    Known{
        "reads_before_wait",
        "a collective that was launched is not done: wait() before its tensor is read "
        "or written",
        "3_ddp.md#wait"},
    Known{"bucket_reused",
          "each gradient has a place of its own until its bucket's wait() returned",
          "3_ddp.md#wait"},
    Known{"unused_parameter",
          "a rank without a gradient sends zeros, and has the mean; else others wait",
          "3_ddp.md#unused"},
    Known{"stale_bucket",
          "a bucket still holds the last step's values where nothing new was written",
          "3_ddp.md#unused"},
    Known{"rank_dependent_buckets",
          "buckets are the same on all ranks, whichever gradients came on this one",
          "3_ddp.md#same-order"},
    Known{"communicates_while_accumulating",
          "passes that accumulate stay local; only the last one's sum is sent",
          "3_ddp.md#accumulation"},
    Known{
        "clears_while_accumulating",
        "gradients are forgotten before the first pass of a reduction, not before each",
        "3_ddp.md#accumulation"},
    Known{"not_forgotten",
          "the gradients of the step before are forgotten before the next one's first "
          "pass",
          "3_ddp.md#accumulation"},
    Known{"mean_over_passes",
          "the passes of a step add up; the mean is over ranks alone",
          "3_ddp.md#accumulation"},
    Known{"another_collective", "a sum that all ranks want is one all_reduce",
          "3_ddp.md#messages"},
    Known{"one_message_a_gradient",
          "the naive reducer sends each gradient by itself, in the parameters' order",
          "3_ddp.md#messages"},
    Known{"one_message_a_bucket",
          "a bucket is sent as one message, however many gradients lie in it",
          "3_ddp.md#messages"},
    Known{"registration_order",
          "backward makes the last layer's gradients first, so they fill the first "
          "bucket",
          "3_ddp.md#reverse-order"},
    Known{"cap_closes_late_or_early",
          "the parameter that brings a bucket to the cap is in it and closes it",
          "3_ddp.md#the-cap"},
    Known{"last_bucket_forgotten", "the last bucket is sent though it is not full",
          "3_ddp.md#the-cap"},
    Known{"bytes_for_elements",
          "the cap counts bytes, a tensor's size the numbers in it",
          "3_ddp.md#the-cap"},
    Known{"buckets_out_of_order",
          "the first bucket is the one that backward fills first, with the last layer",
          "3_ddp.md#reverse-order"},
    Known{"one_type_a_bucket",
          "a message has one type: gradients of another one get a bucket of their own",
          "3_ddp.md#types"},
    Known{"assumes_rows",
          "a gradient may lie in memory in another order than its rows'",
          "3_ddp.md#layout"},
    Known{"no_overlap",
          "a bucket is launched by the hook that completes it, while backward goes on",
          "3_ddp.md#overlap"},
    Known{"blocking_hook", "hooks launch and return; only finalize() waits",
          "3_ddp.md#overlap"},
    Known{"launches_too_early",
          "a bucket is launched when its last gradient has come, not before",
          "3_ddp.md#overlap"},
    Known{"counts_not_reset", "each pass counts its gradients anew",
          "3_ddp.md#overlap"},
    Known{
        "completion_order",
        "buckets are launched in index order, for ranks complete them in other orders",
        "3_ddp.md#same-order"},
};

// Norms, relative to the larger one's.
bool close(const at::Tensor& a, const at::Tensor& b, double bar) {
  const double error = (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>();
  return error <= bar * b.to(at::kDouble).norm().item<double>();
}

// Where the two differ most: "element 3 is 2, not the mean 1".
std::string where_they_differ(const at::Tensor& got, const at::Tensor& mean) {
  const at::Tensor found = got.flatten().to(at::kDouble);
  const at::Tensor wanted = mean.flatten().to(at::kDouble);
  const auto most = (found - wanted).abs().argmax().item<int64_t>();
  std::ostringstream text;
  text.precision(8);
  text << "element " << most << " of its gradient is " << found[most].item<double>()
       << ", not the mean " << wanted[most].item<double>();
  return text.str();
}

// One gradient that is not the mean: what is it instead?
std::string what_it_is(const SeenSteps& seen, int rank, int reduction, size_t p,
                       const std::string& otherwise) {
  const int n = seen.plan.ranks;
  const at::Tensor& got = seen.ranks[rank].gradients[reduction][p];
  const at::Tensor& sum = seen.sum[reduction][p];
  const at::Tensor& own = seen.ranks[rank].own[reduction][p];
  const double bar = got.scalar_type() == at::kDouble ? 1e-9 : 1e-5;
  if (close(got, sum, bar)) return "sum_for_mean";
  if (close(got, sum / (n * n), bar)) return "divided_twice";
  if (close(got, own, bar)) return "not_reduced";
  const int64_t passes = seen.plan.options.accumulate;
  if (passes > 1 && close(got, sum / (n * passes), bar)) return "mean_over_passes";
  if (n > 2 && close(got, sum / 2, bar)) return "two_ranks_only";
  if (reduction > 0) {
    const at::Tensor& before = seen.ranks[rank].gradients[reduction - 1][p];
    if (before.defined() && close(got, sum / n + before, bar)) return "not_forgotten";
  }
  if (close(got, own / n, bar)) return "reads_before_wait";
  if (reduction > 0 && close(got, seen.sum[reduction - 1][p] / n, bar)) {
    return "stale_bucket";
  }
  // As good as right, or too large for the type; memory that nobody wrote is NaN.
  const at::Tensor mean = sum / n;
  const at::Tensor near = (got - mean).abs() <= 0.01 * mean.abs().max();
  const at::Tensor lossy = (near | ~got.isfinite()).all() & ~got.isnan().all();
  if (lossy.item<bool>()) return "low_precision";
  return otherwise;
}

void expect_parameters_alone(const SeenSteps& seen) {
  for (int rank = 0; rank < seen.plan.ranks; ++rank) {
    const SeenRank& of_rank = seen.ranks[rank];
    const std::string who = "rank " + std::to_string(rank);
    if (of_rank.moved_parameters) {
      refuse("reduces_the_parameter", who + "'s parameters change in finalize()");
    }
    for (const simulator::Span& sent : of_rank.passes.front().launches) {
      for (size_t p = 0; p < of_rank.parameter_memory.size(); ++p) {
        if (sent.data != of_rank.parameter_memory[p]) continue;
        refuse("reduces_the_parameter", who + " sends parameter " + std::to_string(p) +
                                            " itself, not its gradient");
      }
    }
  }
}

// What one message is sent from is not written to before its end: on links that read
// while they send, that is what the others would get.
void expect_memory_of_their_own(const SeenSteps& seen) {
  const auto end = [](const simulator::Span& span) {
    return static_cast<const char*>(span.data) + span.bytes;
  };
  for (const SeenRank& rank : seen.ranks) {
    std::vector<simulator::Span> under_way;
    for (const SeenPass& pass : rank.passes) {
      for (const simulator::Span& span : pass.launches) {
        std::erase_if(under_way, [&](const auto& before) {
          return before.end_s <= span.launched_s;
        });
        for (const simulator::Span& before : under_way) {
          if (span.data >= end(before) || before.data >= end(span)) continue;
          refuse("bucket_reused",
                 "rank " + std::to_string(span.rank) + " sends " +
                     std::to_string(span.elements) + " elements from the memory of " +
                     std::to_string(before.elements) + " that are still under way");
        }
        under_way.push_back(span);
      }
    }
  }
}

}  // namespace

Misconception misconception(const std::string& id) {
  for (const Known& known : kKnown) {
    if (known.id == id) return {id, known.says, known.read};
  }
  throw std::logic_error("no misconception is called " + id);
}

void refuse(const std::string& misconception_id, const std::string& saw) {
  throw Refused(misconception(misconception_id), saw);
}

SeenSteps seen_steps(const StepPlan& plan, const std::string& if_stuck) {
  const std::string with = "with " + std::to_string(plan.ranks) + " ranks: ";
  try {
    return take_steps(plan);
  } catch (const simulator::Deadlock& error) {
    refuse(if_stuck, with + error.what());
  } catch (const simulator::Mismatch& error) {
    refuse(if_stuck, with + error.what());
  }
}

void expect_means(const SeenSteps& seen, const std::string& otherwise) {
  const StepPlan& plan = seen.plan;
  expect_parameters_alone(seen);
  for (int reduction = 0; reduction < plan.reductions; ++reduction) {
    for (size_t p = 0; p < plan.parameters.size(); ++p) {
      const at::Tensor mean = seen.sum[reduction][p] / plan.ranks;
      const double bar = mean.scalar_type() == at::kDouble ? 1e-12 : 1e-6;
      for (int rank = 0; rank < plan.ranks; ++rank) {
        const at::Tensor& got = seen.ranks[rank].gradients[reduction][p];
        const std::string where =
            "step " + std::to_string(reduction) + ", rank " + std::to_string(rank) +
            " of " + std::to_string(plan.ranks) + ", parameter " + std::to_string(p) +
            " of " + std::to_string(plan.parameters.size()) + ": ";
        if (!got.defined()) {
          refuse(plan.uses ? "unused_parameter" : otherwise,
                 where + "it has no gradient, not the mean");
        }
        if (got.sizes() != mean.sizes() || got.scalar_type() != mean.scalar_type()) {
          refuse(otherwise, where + "the gradient is of another shape or type");
        }
        if (!close(got, mean, bar)) {
          refuse(what_it_is(seen, rank, reduction, p, otherwise),
                 where + where_they_differ(got, mean));
        }
        if (!at::equal(got, seen.ranks[0].gradients[reduction][p])) {
          refuse("ranks_differ",
                 where + "the mean is right, but not to the bit that of rank 0");
        }
      }
    }
  }
  expect_memory_of_their_own(seen);
}

std::vector<int64_t> messages_of(const SeenPass& pass) {
  std::vector<int64_t> messages;
  for (const simulator::Span& span : pass.launches) messages.push_back(span.elements);
  return messages;
}

void expect_silence_while_accumulating(const SeenSteps& seen) {
  const int64_t accumulate = seen.plan.options.accumulate;
  for (int rank = 0; rank < seen.plan.ranks; ++rank) {
    const std::vector<SeenPass>& passes = seen.ranks[rank].passes;
    for (size_t i = 0; i < passes.size(); ++i) {
      const bool last = (static_cast<int64_t>(i) + 1) % accumulate == 0;
      if (last || passes[i].launches.empty()) continue;
      refuse("communicates_while_accumulating",
             "in pass " + std::to_string(i % accumulate + 1) + " of " +
                 std::to_string(accumulate) + " rank " + std::to_string(rank) +
                 " launches " + std::to_string(passes[i].launches.size()) +
                 " collectives, not 0");
    }
  }
}

}  // namespace lockstep::labs
