#include "labs/reducers/simulated_step.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <random>
#include <set>

#include "ddp/reducers.h"
#include "labs/graders/unwritten_is_nan.h"

namespace lockstep::labs {
namespace {

using simulator::Rank;
using simulator::Span;

at::Tensor drawn(const std::vector<int64_t>& sizes, uint64_t seed) {
  const at::Generator random = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, random, at::TensorOptions().dtype(at::kDouble));
}

// Beyond what fp16 can hold.
constexpr double kLarge = 1e6;

at::Tensor input_of(const StepPlan& plan, int rank, int64_t pass, size_t p) {
  std::seed_seq mixed{plan.seed, uint64_t(rank), uint64_t(pass), uint64_t(p)};
  uint64_t seed;
  mixed.generate(&seed, &seed + 1);
  const PlannedParameter& parameter = plan.parameters[p];
  return drawn(parameter.sizes, seed).mul_(kLarge).to(parameter.type);
}

// <parameter, input>, by the clock.
struct TimedProduct : torch::autograd::Function<TimedProduct> {
  using Context = torch::autograd::AutogradContext;

  static at::Tensor forward(Context* context, const at::Tensor& parameter,
                            const at::Tensor& input, int64_t number) {
    context->save_for_backward({input});
    context->saved_data["number"] = number;
    return (parameter * input).sum().to(at::kDouble);
  }

  static torch::autograd::variable_list backward(
      Context* context, const torch::autograd::variable_list& gradients) {
    const int64_t number = context->saved_data["number"].toInt();
    simulator::this_rank()->compute("backward " + std::to_string(number),
                                    kBackwardSeconds);
    const at::Tensor input = context->get_saved_variables()[0];
    return {input * gradients[0].to(input.scalar_type()), {}, {}};
  }
};

ddp::NamedParameters make_parameters(const StepPlan& plan) {
  ddp::NamedParameters parameters;
  for (const PlannedParameter& planned : plan.parameters) {
    at::Tensor values =
        drawn(planned.sizes, plan.seed + parameters.size()).to(planned.type);
    if (planned.transposed) values = values.t().contiguous().t();
    parameters.push_back({"parameter " + std::to_string(parameters.size()),
                          values.detach().requires_grad_()});
  }
  return parameters;
}

class StepsOfRank {
 public:
  StepsOfRank(const StepPlan& plan, Rank& rank, SeenRank& seen)
      : plan_(plan), rank_(rank), seen_(seen), parameters_(make_parameters(plan)) {
    TrainOptions options;
    options.accumulate = plan.options.accumulate;
    options.ddp.bucket_cap_mb = options.ddp.first_bucket_cap_mb =
        static_cast<double>(plan.options.bucket_cap_bytes) / (1 << 20);
    for (const auto& parameter : parameters_) {
      seen.parameter_memory.push_back(parameter.tensor.const_data_ptr());
    }
    reducer_ = ddp::reducers().at(plan.reducer)(parameters_, rank.group(), options);
  }

  void take() {
    for (int reduction = 0; reduction < plan_.reductions; ++reduction) {
      for (int64_t i = 0; i < plan_.options.accumulate; ++i) pass();
      seen_.gradients.emplace_back();
      for (const auto& parameter : parameters_) {
        const at::Tensor& gradient = parameter.tensor.grad();
        seen_.gradients.back().push_back(gradient.defined() ? gradient.clone()
                                                            : at::Tensor());
      }
    }
    const ddp::NamedParameters before = make_parameters(plan_);
    for (size_t p = 0; p < before.size(); ++p) {
      if (!at::equal(before[p].tensor, parameters_[p].tensor)) {
        seen_.moved_parameters = true;
      }
    }
  }

 private:
  void pass() {
    const auto number = static_cast<int64_t>(seen_.passes.size());
    SeenPass& pass = seen_.passes.emplace_back();
    pass.begin_s = rank_.now_s();
    reducer_->zero_grad();
    rank_.compute("forward", kForwardSeconds);
    // Autograd comes to what was made last first.
    std::vector<size_t> order = backward_order();
    std::reverse(order.begin(), order.end());
    std::vector<at::Tensor> terms;
    for (const size_t p : order) {
      if (plan_.uses && !plan_.uses(rank_.rank(), number, p)) continue;
      terms.push_back(TimedProduct::apply(parameters_[p].tensor,
                                          input_of(plan_, rank_.rank(), number, p),
                                          static_cast<int64_t>(p)));
    }
    const at::Tensor loss = at::stack(terms).sum();
    reducer_->prepare(loss);
    pass.backward_s = rank_.now_s();
    loss.backward();
    pass.backward_end_s = rank_.now_s();
    reducer_->finalize();
    pass.end_s = rank_.now_s();
  }

  std::vector<size_t> backward_order() const {
    if (plan_.backward_order) return plan_.backward_order(rank_.rank());
    std::vector<size_t> order(parameters_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = order.size() - 1 - i;
    return order;
  }

  const StepPlan& plan_;
  Rank& rank_;
  SeenRank& seen_;
  const ddp::NamedParameters parameters_;
  ddp::ReducerPtr reducer_;
};

// What each rank's passes add up to, and the sum over ranks.
void work_out(SeenSteps& seen) {
  const StepPlan& plan = seen.plan;
  for (int reduction = 0; reduction < plan.reductions; ++reduction) {
    seen.sum.emplace_back();
    for (size_t p = 0; p < plan.parameters.size(); ++p) {
      const PlannedParameter& parameter = plan.parameters[p];
      at::Tensor sum = at::zeros(parameter.sizes, parameter.type);
      for (int rank = 0; rank < plan.ranks; ++rank) {
        at::Tensor own = at::zeros_like(sum);
        for (int64_t i = 0; i < plan.options.accumulate; ++i) {
          const int64_t pass = reduction * plan.options.accumulate + i;
          if (plan.uses && !plan.uses(rank, pass, p)) continue;
          own += input_of(plan, rank, pass, p);
        }
        sum += own;
        auto& of_rank = seen.ranks[rank].own;
        of_rank.resize(reduction + 1);
        of_rank.back().push_back(std::move(own));
      }
      seen.sum.back().push_back(std::move(sum));
    }
  }
}

// Passes begin with a forward that takes time: no launch lies on the border of two.
void sort_launches(const std::vector<Span>& spans, SeenSteps& seen) {
  for (const Span& span : spans) {
    if (span.lane != Span::Lane::communication) continue;
    for (SeenPass& pass : seen.ranks[span.rank].passes) {
      if (span.launched_s <= pass.end_s) {
        pass.launches.push_back(span);
        break;
      }
    }
  }
  for (SeenRank& rank : seen.ranks) {
    for (SeenPass& pass : rank.passes) {
      std::stable_sort(
          pass.launches.begin(), pass.launches.end(),
          [](const Span& a, const Span& b) { return a.launched_s < b.launched_s; });
    }
  }
}

}  // namespace

// No two have as many elements, so that a message tells whose it is.
std::vector<PlannedParameter> odd_parameters(uint64_t seed, size_t count) {
  std::minstd_rand random(static_cast<unsigned>(seed % 2147483646 + 1));
  std::vector<PlannedParameter> parameters;
  std::set<int64_t> taken;
  while (parameters.size() < count) {
    const auto rows = static_cast<int64_t>(3 + random() % 61);
    const auto columns = static_cast<int64_t>(1 + 2 * (random() % 5));
    if (!taken.insert(rows * columns).second) continue;
    parameters.push_back(columns == 1 ? PlannedParameter{{rows}}
                                      : PlannedParameter{{rows, columns}});
  }
  return parameters;
}

predict::Cluster slow_links() {
  predict::Cluster cluster;
  cluster.cards_per_host = 64;
  cluster.inside = {/*latency_s=*/2e-5, /*bytes_per_s=*/1e6};
  return cluster;
}

const SeenPass& SeenSteps::reducing(int rank, int reduction) const {
  return ranks[rank].passes[(reduction + 1) * plan.options.accumulate - 1];
}

SeenSteps take_steps(const StepPlan& plan) {
  const UnwrittenIsNaN unwritten_is_nan;
  SeenSteps seen{plan, std::vector<SeenRank>(static_cast<size_t>(plan.ranks)), {}};
  simulator::Simulation simulation(plan.ranks, slow_links(), plan.seed);
  simulation.run(
      [&](Rank& rank) { StepsOfRank(plan, rank, seen.ranks[rank.rank()]).take(); });
  work_out(seen);
  sort_launches(simulation.spans(), seen);
  return seen;
}

}  // namespace lockstep::labs
