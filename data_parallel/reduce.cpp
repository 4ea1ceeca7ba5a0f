#include "data_parallel/reduce.h"

#include <ATen/core/grad_mode.h>

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

void add_replica(size_t from, size_t to, const Replicated& all) {
  for (size_t i = 0; i < all.parameters[to].size(); ++i) {
    add_gradient(all.parameters[from][i], all.parameters[to][i], all.cards[to]);
  }
}

void reduce_serial(size_t card, Replicated& all) {
  if (card > 0) return;  // the primary card fetches, the others have it done to them
  for (size_t replica = 1; replica < all.parameters.size(); ++replica) {
    if (!all.threads.await(replica)) return;
    add_replica(replica, 0, all);
  }
}

// Nobody waits: of the two halves of a branch the one that is complete last adds them
// up, on whichever of its cards' threads that is, and goes on towards the root.
void reduce_tree(size_t card, Replicated& all) {
  const size_t count = all.parameters.size();
  size_t branch = card;  // its first card, where its sum is
  for (size_t step = 1; step < count; step *= 2) {
    const size_t to = branch - branch % (2 * step);
    const size_t from = to + step;
    if (from >= count) continue;  // it has one half alone
    if (!all.met[from].exchange(true)) return;
    add_replica(from, to, all);
    branch = to;
  }
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

void reduce_nccl(size_t card, Replicated& all) {
  if (card > 0) return;  // NCCL's group call queues the work on every device
  const size_t count = all.parameters.size();
  for (size_t replica = 1; replica < count; ++replica) {
    if (!all.threads.await(replica)) return;
  }
  for (size_t i = 0; i < all.parameters[0].size(); ++i) {
    const Tensors grads = alike(all.parameters, i);
    if (!grads.empty()) {
      comm::nccl_reduce(grads);
      continue;
    }
    for (size_t replica = 1; replica < count; ++replica) {
      add_gradient(all.parameters[replica][i], all.parameters[0][i], all.cards[0]);
    }
  }
}

}  // namespace

Registry<Reduction>& reductions() {
  static Registry<Reduction> known(
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
