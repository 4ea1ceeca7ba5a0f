// Lab 04: replicas that start equal, and the naive reducer: one all_reduce a gradient.
#include "grading/grader.h"

#include "labs/graders/listed.h"
#include "labs/naive_ddp.h"
#include "labs/reducers/reducer_checks.h"
#include "simulator/simulation.h"

namespace lockstep::labs {

namespace {

StepPlan plan_of(uint64_t seed, int ranks) {
  StepPlan plan;
  plan.seed = seed;
  plan.ranks = ranks;
  plan.parameters = odd_parameters(seed, 5);
  return plan;
}

// What a rank has, different from what the others have.
Tensors tensors_of_rank(uint64_t seed, int rank, size_t count) {
  torch::manual_seed(seed + 100 * static_cast<uint64_t>(rank));
  Tensors tensors;
  for (const PlannedParameter& planned : odd_parameters(seed, count)) {
    tensors.push_back(at::randn(planned.sizes, at::kDouble));
  }
  tensors.push_back(at::full({}, rank, at::kLong));  // batch norm counts its batches
  return tensors;
}

// `when`: "at the start".
void expect_rank_0s(const Tensors& found, const Tensors& of_rank_0,
                    const std::string& what, const std::string& when,
                    const simulator::Rank& rank) {
  std::vector<int64_t> differ;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!at::equal(found[i], of_rank_0[i])) differ.push_back(static_cast<int64_t>(i));
  }
  if (differ.empty()) return;
  refuse(what == "buffers" ? "no_buffer_broadcast" : "no_initial_broadcast",
         when + " rank " + std::to_string(rank.rank()) + " of " +
             std::to_string(rank.size()) + " has other " + what + " than rank 0 had: " +
             listed(differ) + " of " + std::to_string(found.size()));
}

void look_at_start(uint64_t seed) {
  const auto parameters_of = [seed](int rank) {
    Tensors parameters = tensors_of_rank(seed, rank, 4);
    parameters.pop_back();  // a count has no gradient
    for (at::Tensor& parameter : parameters) parameter.requires_grad_();
    return parameters;
  };
  for (const int ranks : {2, 3, 4}) {
    simulator::Simulation simulation(ranks, slow_links(), seed);
    simulation.run([&](simulator::Rank& rank) {
      const Tensors parameters = parameters_of(rank.rank());
      const Tensors buffers = tensors_of_rank(seed + 1, rank.rank(), 2);
      starts().at("student")(parameters, buffers, rank.group());
      expect_rank_0s(parameters, parameters_of(0), "parameters", "at the start", rank);
      expect_rank_0s(buffers, tensors_of_rank(seed + 1, 0, 2), "buffers",
                     "at the start", rank);
    });
  }
}

// Each rank's forward changes its buffers; rank 0's change is what all begin the next
// forward with.
void look_at_buffers(uint64_t seed) {
  for (const int ranks : {2, 3}) {
    simulator::Simulation simulation(ranks, slow_links(), seed);
    simulation.run([&](simulator::Rank& rank) {
      const Tensors buffers = tensors_of_rank(seed, 0, 3);
      const Tensors of_rank_0 = tensors_of_rank(seed, 0, 3);
      for (int step = 0; step < 3; ++step) {
        before_forwards().at("student")(buffers, rank.group());
        expect_rank_0s(buffers, of_rank_0, "buffers",
                       "at forward " + std::to_string(step), rank);
        for (size_t i = 0; i < buffers.size(); ++i) {
          buffers[i].add_(rank.rank() + 1);
          of_rank_0[i].add_(1);
        }
      }
    });
  }
}

void look_at_mean(uint64_t seed) {
  for (const int ranks : {2, 3, 4}) {
    expect_means(
        seen_steps(plan_of(seed, ranks), ranks == 2 ? "not_reduced" : "two_ranks_only"),
        "not_reduced");
  }
}

void look_at_messages(uint64_t seed) {
  const SeenSteps seen = seen_steps(plan_of(seed, 2), "one_message_a_gradient");
  std::vector<int64_t> wanted;
  for (const at::Tensor& sum : seen.sum[0]) wanted.push_back(sum.numel());
  for (int reduction = 0; reduction < seen.plan.reductions; ++reduction) {
    for (int rank = 0; rank < seen.plan.ranks; ++rank) {
      const SeenPass& pass = seen.reducing(rank, reduction);
      const std::vector<int64_t> sent = messages_of(pass);
      if (sent != wanted) {
        refuse("one_message_a_gradient",
               "rank " + std::to_string(rank) + " sends " +
                   (sent.empty() ? "no message" : listed(sent) + " elements") +
                   ", not " + listed(wanted));
      }
      for (const simulator::Span& one : pass.launches) {
        if (one.name != "all_reduce") {
          refuse("another_collective",
                 "a gradient travels by " + one.name + ", not by all_reduce");
        }
        if (one.end_s > pass.end_s) {
          refuse("reads_before_wait",
                 "finalize() returns while a collective is under way");
        }
      }
    }
  }
}

void look_at_unused(uint64_t seed) {
  StepPlan plan = plan_of(seed, 3);
  plan.reductions = 3;
  plan.uses = [](int rank, int64_t pass, size_t p) {
    return p != 2 || (rank + pass) % 3 != 0;
  };
  expect_means(seen_steps(plan, "unused_parameter"), "unused_parameter");
}

void look_at_accumulation(uint64_t seed) {
  StepPlan plan = plan_of(seed, 2);
  plan.options.accumulate = 3;
  const SeenSteps seen = seen_steps(plan, "communicates_while_accumulating");
  expect_silence_while_accumulating(seen);
  expect_means(seen, "clears_while_accumulating");
}

grading::Lab lab() {
  using std::chrono::seconds;
  return {4,
          "naive_ddp",
          "Naive DDP",
          {
              {"start", "every rank begins with rank 0's parameters and buffers", 2,
               misconception("no_initial_broadcast"), look_at_start},
              {"buffers", "every forward pass begins with rank 0's buffers", 1,
               misconception("no_buffer_broadcast"), look_at_buffers},
              {"mean", "2, 3 and 4 ranks hold the mean gradient, the same to the bit",
               3, misconception("not_reduced"), look_at_mean},
              {"messages", "one all_reduce a gradient, in order, awaited", 1,
               misconception("one_message_a_gradient"), look_at_messages},
              {"unused", "a rank without a gradient takes part", 1,
               misconception("unused_parameter"), look_at_unused},
              {"accumulation", "of three passes the last one's sum is sent", 1,
               misconception("communicates_while_accumulating"), look_at_accumulation},
              {"training", "ddp::train() has one card's losses, five times on threads",
               1, misconception("reads_before_wait"),
               [](uint64_t seed) {
                 expect_training_as_on_one_card(seed, {/*accumulate=*/2});
               }},
          }};
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  return lockstep::grading::run_grader(lockstep::labs::lab(), argc, argv);
}
