#include "data_parallel/reduce.h"

#include <ATen/core/grad_mode.h>

#include <atomic>
#include <stdexcept>

#include "comm/nccl.h"

namespace lockstep::data_parallel {
namespace {

// Really moved to the receiving card before it is added: its memory and its time.
void add_gradient(const at::Tensor& from, const at::Tensor& to, const Card& card) {
  const at::Tensor& grad = from.grad();
  if (!grad.defined()) return;
  const at::Tensor arrived = card.put(grad, device::Category::gradients);
  at::Tensor& sum = to.mutable_grad();
  sum = sum.defined() ? sum.add_(arrived) : arrived;
}

// The i-th parameter's gradients, one replica's after the other, to the primary card.
void add_in_turn(const std::vector<Tensors>& parameters, size_t i,
                 const Card& primary) {
  for (size_t replica = 1; replica < parameters.size(); ++replica) {
    add_gradient(parameters[replica][i], parameters[0][i], primary);
  }
}

void reduce_serial(const std::vector<Tensors>& parameters,
                   const std::vector<Card>& cards, CardThreads& threads) {
  threads.run("reduce", parameters.size(), [&](size_t card) {
    if (card > 0) return;  // the primary card fetches, the others have it done to them
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters[0].size(); ++i) {
      add_in_turn(parameters, i, cards[0]);
    }
  });
}

// A card has its branch's sum, or has failed to get it: whoever waits may go on.
struct Branch {
  explicit Branch(std::atomic<bool>& has_ended) : ended(has_ended) {}
  ~Branch() {
    ended.store(true);
    ended.notify_all();
  }
  Branch(const Branch&) = delete;
  Branch& operator=(const Branch&) = delete;

  std::atomic<bool>& ended;
};

// One dispatch for the whole tree: cards wait for each other, not for rounds.
void reduce_tree(const std::vector<Tensors>& parameters, const std::vector<Card>& cards,
                 CardThreads& threads) {
  const size_t count = parameters.size();
  std::vector<std::atomic<bool>> ended(count);
  threads.run("reduce", count, [&](size_t card) {
    const Branch branch(ended[card]);
    const at::NoGradGuard no_grad;
    for (size_t step = 1; card % (2 * step) == 0 && card + step < count; step *= 2) {
      ended[card + step].wait(false);
      for (size_t i = 0; i < parameters[0].size(); ++i) {
        add_gradient(parameters[card + step][i], parameters[card][i], cards[card]);
      }
    }
  });
}

// Empty where a replica has no such gradient, or NCCL could not take it as it lies.
Tensors alike(const std::vector<Tensors>& parameters, size_t i) {
  Tensors grads;
  for (const Tensors& of_replica : parameters) {
    const at::Tensor& grad = of_replica[i].grad();
    if (!grad.defined() || !grad.is_non_overlapping_and_dense() ||
        grad.strides() != parameters[0][i].grad().strides()) {
      return {};
    }
    grads.push_back(grad);
  }
  return grads;
}

void reduce_nccl(const std::vector<Tensors>& parameters, const std::vector<Card>& cards,
                 CardThreads& threads) {
  threads.run("reduce", parameters.size(), [&](size_t card) {
    if (card > 0) return;  // NCCL's group call queues the work on every device
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters[0].size(); ++i) {
      const Tensors grads = alike(parameters, i);
      if (grads.empty()) {
        add_in_turn(parameters, i, cards[0]);
      } else {
        comm::nccl_reduce(grads);
      }
    }
  });
}

}  // namespace

training::Registry<Reduction>& reductions() {
  static training::Registry<Reduction> known(
      "reduction",
      {{"serial", &reduce_serial}, {"tree", &reduce_tree}, {"nccl", &reduce_nccl}});
  return known;
}

std::string resolve_reduction(const std::string& name, const Card& primary) {
  if (name == "auto") return primary.emulated() ? "serial" : "nccl";
  reductions().at(name);
  if (name == "nccl" && primary.emulated()) {
    throw std::invalid_argument("--dp-reduce nccl adds between CUDA cards and " +
                                primary.name() +
                                " is an emulated one; try --dp-reduce tree");
  }
  return name;
}

}  // namespace lockstep::data_parallel
