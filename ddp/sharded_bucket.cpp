#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "ddp/bucket.h"
#include "ddp/sgd_step.h"
#include "device/memory_ledger.h"

namespace lockstep::ddp {
namespace {

// Of one collective.
constexpr size_t kPartTensors = 30;

int64_t elements_of(const std::vector<at::Tensor>& tensors) {
  int64_t elements = 0;
  for (const at::Tensor& tensor : tensors) elements += tensor.numel();
  return elements;
}

// The numbers in the order of memory: dense tensors have the same on all ranks.
at::Tensor flat(const at::Tensor& tensor) {
  return tensor.detach().as_strided({tensor.numel()}, {1});
}

std::vector<at::Tensor> slice(const std::vector<at::Tensor>& all, size_t first,
                              size_t count) {
  const auto from = all.begin() + static_cast<std::ptrdiff_t>(first);
  return {from, from + static_cast<std::ptrdiff_t>(count)};
}

// The tensors side by side, in the order of their memory, and zeros up to `elements`.
at::Tensor side_by_side(const std::vector<at::Tensor>& tensors, int64_t elements) {
  at::Tensor all =
      at::zeros({elements}, tensors.front().options().requires_grad(false));
  int64_t start = 0;
  for (const at::Tensor& tensor : tensors) {
    all.narrow(0, start, tensor.numel()).copy_(flat(tensor));
    start += tensor.numel();
  }
  return all;
}

}  // namespace

ShardedBucket::ShardedBucket(std::vector<at::Tensor> parameters,
                             comm::ProcessGroup& group, const TrainOptions& options)
    : ScatteredBucket(std::move(parameters)),
      step_(sgd_step(parameters_.front().scalar_type(), options)) {
  for (const at::Tensor& parameter : parameters_) {
    TORCH_CHECK(parameter.is_cpu(), "--shard-optimizer steps emulated cards, not ",
                parameter.device(), "; leave it out");
    TORCH_CHECK(parameter.is_non_overlapping_and_dense(),
                "--shard-optimizer steps dense parameters, not strides ",
                parameter.strides(), " of sizes ", parameter.sizes(), "; leave it out");
  }
  const device::CategoryScope category(device::Category::optimizer_state);
  for (size_t first = 0; first < parameters_.size(); first += kPartTensors) {
    const size_t count = std::min(kPartTensors, parameters_.size() - first);
    Part part{first, slice(parameters_, first, count), {}};
    if (options.momentum != 0) {
      const int64_t ranks = group.size();
      const int64_t elements = group.adds_in_place()
                                   ? group.shard_elements(part.parameters)
                                   : (elements_of(part.parameters) + ranks - 1) / ranks;
      part.momentum =
          group.allocate(elements, parameters_.front().options().requires_grad(false));
      part.momentum.zero_();
    }
    parts_.push_back(std::move(part));
  }
}

void ShardedBucket::lend(size_t index) {
  if (!sent_) return ScatteredBucket::lend(index);
  taken_[index].reset();
  parameters_[index].mutable_grad().reset();
}

comm::Work ShardedBucket::reduce(comm::ProcessGroup& group) {
  sent_ = true;
  // Where backward does read one again (through a detach(), say) autograd shall notice.
  for (const at::Tensor& parameter : parameters_) {
    parameter.unsafeGetTensorImpl()->bump_version();
  }
  comm::Work last;  // collectives end in the order of their start
  for (const Part& part : parts_) {
    if (!group.adds_in_place()) {
      step_by_messages(group, part);
      continue;
    }
    last = group.update_shards(
        {gradients_of(part), part.parameters, part.momentum, step_});
  }
  return last;
}

std::vector<at::Tensor> ShardedBucket::gradients_of(const Part& part) const {
  return slice(taken_, part.first, part.parameters.size());
}

void ShardedBucket::step_by_messages(comm::ProcessGroup& group, const Part& part) {
  const at::NoGradGuard no_grad;
  const device::CategoryScope category(device::Category::buckets);
  const int64_t each = (elements_of(part.parameters) + group.size() - 1) / group.size();
  at::Tensor all_gradients = side_by_side(gradients_of(part), each * group.size());
  const at::Tensor mean = at::empty({each}, all_gradients.options());
  group.reduce_scatter(mean, all_gradients).wait();
  all_gradients.reset();  // as large as all_parameters, which need the memory now
  mean.div_(group.size());
  const at::Tensor all_parameters = side_by_side(part.parameters, each * group.size());
  const at::Tensor mine = all_parameters.narrow(0, group.rank() * each, each).clone();
  step_(mean.mutable_data_ptr(), mine.mutable_data_ptr(),
        part.momentum.defined() ? part.momentum.mutable_data_ptr() : nullptr, each);
  group.all_gather(all_parameters, mine).wait();
  int64_t start = 0;
  for (const at::Tensor& parameter : part.parameters) {
    flat(parameter).copy_(all_parameters.narrow(0, start, parameter.numel()));
    start += parameter.numel();
  }
}

}  // namespace lockstep::ddp
