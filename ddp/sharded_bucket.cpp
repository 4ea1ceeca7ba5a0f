#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "ddp/bucket.h"
#include "device/memory_ledger.h"

namespace lockstep::ddp {
namespace {

// As torch/csrc/api/src/optim/sgd.cpp steps: weight decay, then momentum.
template <typename T>
void sgd_step(T* mean, T* parameters, T* momentum, int64_t count,
              const TrainOptions& options) {
  const T scale = static_cast<T>(1.0 / static_cast<double>(options.accumulate));
  const T decay = static_cast<T>(options.weight_decay);
  const T keep = static_cast<T>(options.momentum);
  const T lr = static_cast<T>(options.lr);
  if (options.accumulate > 1 || options.weight_decay != 0) {
    for (int64_t i = 0; i < count; ++i) {
      mean[i] = mean[i] * scale + decay * parameters[i];
    }
  }
  if (momentum != nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      momentum[i] = keep * momentum[i] + mean[i];
      parameters[i] -= lr * momentum[i];
    }
  } else {
    for (int64_t i = 0; i < count; ++i) parameters[i] -= lr * mean[i];
  }
}

template <typename T>
auto step_of(const TrainOptions& options) {
  return [options](void* mean, void* parameters, void* momentum, int64_t count) {
    sgd_step(static_cast<T*>(mean), static_cast<T*>(parameters),
             static_cast<T*>(momentum), count, options);
  };
}

// Of one collective.
constexpr size_t kPartTensors = 30;

int64_t elements_of(const std::vector<at::Tensor>& tensors) {
  int64_t elements = 0;
  for (const at::Tensor& tensor : tensors) elements += tensor.numel();
  return elements;
}

// The tensors side by side, in the order of their memory, and zeros up to `elements`.
at::Tensor side_by_side(const std::vector<at::Tensor>& tensors, int64_t elements) {
  at::Tensor all =
      at::zeros({elements}, tensors.front().options().requires_grad(false));
  int64_t start = 0;
  for (const at::Tensor& tensor : tensors) {
    all.narrow(0, start, tensor.numel())
        .copy_(tensor.detach().as_strided({tensor.numel()}, {1}));
    start += tensor.numel();
  }
  return all;
}

}  // namespace

ShardedBucket::ShardedBucket(std::vector<at::Tensor> parameters,
                             comm::ProcessGroup& group, const TrainOptions& options)
    : ScatteredBucket(std::move(parameters)) {
  const at::ScalarType type = parameters_.front().scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kDouble, "--shard-optimizer steps ",
              at::kFloat, " and ", at::kDouble, ", not ", type, "; leave it out");
  step_ = type == at::kFloat ? std::function(step_of<float>(options))
                             : std::function(step_of<double>(options));
  const device::CategoryScope category(device::Category::optimizer_state);
  for (size_t first = 0; first < parameters_.size(); first += kPartTensors) {
    Part part{first, std::min(kPartTensors, parameters_.size() - first), {}};
    if (options.momentum != 0) {
      const std::vector<at::Tensor> members(
          parameters_.begin() + static_cast<std::ptrdiff_t>(first),
          parameters_.begin() + static_cast<std::ptrdiff_t>(first + part.count));
      const int64_t ranks = group.size();
      const int64_t elements = group.adds_in_place()
                                   ? group.shard_elements(members)
                                   : (elements_of(members) + ranks - 1) / ranks;
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
  comm::Work last;  // collectives end in the order of their start
  for (const Part& part : parts_) {
    if (!group.adds_in_place()) {
      step_by_messages(group, part);
      continue;
    }
    const auto slice = [&part](const std::vector<at::Tensor>& all) {
      const auto from = all.begin() + static_cast<std::ptrdiff_t>(part.first);
      return std::vector<at::Tensor>(from,
                                     from + static_cast<std::ptrdiff_t>(part.count));
    };
    last =
        group.update_shards({slice(taken_), slice(parameters_), part.momentum, step_});
  }
  return last;
}

void ShardedBucket::step_by_messages(comm::ProcessGroup& group, const Part& part) {
  const at::NoGradGuard no_grad;
  const auto from = static_cast<std::ptrdiff_t>(part.first);
  const auto to = static_cast<std::ptrdiff_t>(part.first + part.count);
  const std::vector<at::Tensor> gradients(taken_.begin() + from, taken_.begin() + to);
  const std::vector<at::Tensor> parameters(parameters_.begin() + from,
                                           parameters_.begin() + to);
  const int64_t each = (elements_of(parameters) + group.size() - 1) / group.size();
  const at::Tensor all_gradients = side_by_side(gradients, each * group.size());
  const at::Tensor all_parameters = side_by_side(parameters, each * group.size());
  const at::Tensor mean = at::empty({each}, all_gradients.options());
  group.reduce_scatter(mean, all_gradients).wait();
  mean.div_(group.size());
  const at::Tensor mine = all_parameters.narrow(0, group.rank() * each, each).clone();
  step_(mean.mutable_data_ptr(), mine.mutable_data_ptr(),
        part.momentum.defined() ? part.momentum.mutable_data_ptr() : nullptr, each);
  group.all_gather(all_parameters, mine).wait();
  int64_t start = 0;
  for (const at::Tensor& parameter : parameters) {
    parameter.detach()
        .as_strided({parameter.numel()}, {1})
        .copy_(all_parameters.narrow(0, start, parameter.numel()));
    start += parameter.numel();
  }
}

}  // namespace lockstep::ddp
