#include "ddp/bucket.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#include "device/memory_ledger.h"

namespace lockstep::ddp {
namespace {

// LibTorch's copy takes a microsecond to begin, which counts for biases; for large
// tensors it uses the card's threads.
constexpr size_t kSmallBytes = 64 * 1024;

void copy_values(const at::Tensor& to, const at::Tensor& from) {
  if (from.numel() == 0) return;
  if (from.nbytes() <= kSmallBytes && to.is_cpu() && from.is_cpu() &&
      from.scalar_type() == to.scalar_type() && from.sizes() == to.sizes() &&
      from.strides() == to.strides() && to.is_non_overlapping_and_dense()) {
    std::memcpy(to.mutable_data_ptr(), from.const_data_ptr(), from.nbytes());
    return;
  }
  const at::NoGradGuard no_grad;
  to.copy_(from);
}

}  // namespace

FlatBucket::FlatBucket(std::vector<at::Tensor> parameters, comm::ProcessGroup& group)
    : parameters_(std::move(parameters)) {
  const at::ScalarType type = parameters_.front().scalar_type();
  int64_t elements = 0;
  for (const at::Tensor& parameter : parameters_) {
    TORCH_CHECK(parameter.scalar_type() == type, "one bucket cannot hold gradients of ",
                type, " and ", parameter.scalar_type(),
                "; try --reducer bucketed, which gives each type its own");
    elements += parameter.numel();
  }
  const device::CategoryScope category(device::Category::buckets);
  flat_ = group.allocate(elements, parameters_.front().options().requires_grad(false));
  int64_t offset = 0;
  for (const at::Tensor& parameter : parameters_) {
    // A dense parameter's own strides, so that the optimizer walks both alike; anything
    // else gets rows.
    const at::Tensor slice = flat_.narrow(0, offset, parameter.numel());
    views_.push_back(parameter.is_non_overlapping_and_dense()
                         ? slice.as_strided(parameter.sizes(), parameter.strides())
                         : slice.view(parameter.sizes()));
    offset += parameter.numel();
  }
}

bool FlatBucket::take(size_t index, bool /*alone*/) {
  const at::Tensor& grad = parameters_[index].grad();
  if (grad.is_same(views_[index])) return true;
  if (!grad.defined()) {
    views_[index].zero_();
    return false;
  }
  copy_values(views_[index], grad);
  return true;
}

void FlatBucket::lend(size_t index) {
  at::Tensor& grad = parameters_[index].mutable_grad();
  if (!grad.is_same(views_[index])) grad = views_[index];
}

void FlatBucket::give_back(size_t index) {
  at::Tensor& grad = parameters_[index].mutable_grad();
  if (grad.defined() && !grad.is_alias_of(flat_)) {
    copy_values(grad, views_[index]);
    return;
  }
  const device::CategoryScope category(device::Category::gradients);
  const at::NoGradGuard no_grad;
  grad = views_[index].clone();
}

comm::Work FlatBucket::reduce(comm::ProcessGroup& group) {
  return group.all_reduce_mean(flat_);
}

void FlatBucket::fill(double value) { flat_.fill_(value); }

ScatteredBucket::ScatteredBucket(std::vector<at::Tensor> parameters)
    : parameters_(std::move(parameters)), taken_(parameters_.size()) {}

// A gradient may stay where it is unless backward still works with its memory, or its
// layout is this rank's own.
bool ScatteredBucket::take(size_t index, bool alone) {
  sent_ = false;
  const at::Tensor& parameter = parameters_[index];
  const at::Tensor& grad = parameter.grad();
  if (!grad.defined()) {
    taken_[index] = at::zeros_like(parameter);
    return false;
  }
  if (alone && grad.strides() == parameter.strides() &&
      grad.is_non_overlapping_and_dense()) {
    taken_[index] = grad;
  } else {
    taken_[index] = at::empty_like(parameter, parameter.options().requires_grad(false));
    copy_values(taken_[index], grad);
  }
  return true;
}

void ScatteredBucket::lend(size_t index) {
  if (!taken_[index].defined()) return;
  parameters_[index].mutable_grad() = taken_[index];
  // Sent, so nobody but the parameter needs it: its memory goes with the gradient.
  if (sent_) taken_[index].reset();
}

comm::Work ScatteredBucket::reduce(comm::ProcessGroup& group) {
  sent_ = true;
  return group.all_reduce_mean(taken_);
}

void ScatteredBucket::fill(double value) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!taken_[i].defined()) {
      taken_[i] =
          at::empty_like(parameters_[i], parameters_[i].options().requires_grad(false));
    }
    taken_[i].fill_(value);
  }
}

std::unique_ptr<Bucket> make_bucket(std::vector<at::Tensor> parameters,
                                    comm::ProcessGroup& group,
                                    const TrainOptions& options) {
  if (options.ddp.shard_optimizer) {
    return std::make_unique<ShardedBucket>(std::move(parameters), group, options);
  }
  const bool dense = std::all_of(
      parameters.begin(), parameters.end(),
      [](const at::Tensor& one) { return one.is_non_overlapping_and_dense(); });
  if (group.adds_in_place() && dense) {
    return std::make_unique<ScatteredBucket>(std::move(parameters));
  }
  return std::make_unique<FlatBucket>(std::move(parameters), group);
}

BucketAssignment assign_buckets_in_order(const std::vector<at::Tensor>& parameters,
                                         const std::vector<size_t>& order,
                                         int64_t first_cap_bytes, int64_t cap_bytes) {
  struct Open {
    std::vector<size_t> members;
    int64_t bytes = 0;
    int64_t cap;
    size_t last = 0;  // the place in `order` of its last member
  };
  BucketAssignment buckets;
  using Key = std::tuple<at::ScalarType, at::DeviceType, at::DeviceIndex>;
  std::map<Key, Open> open;
  for (size_t i = 0; i < order.size(); ++i) {
    const at::Tensor& parameter = parameters[order[i]];
    const Key key(parameter.scalar_type(), parameter.device().type(),
                  parameter.device().index());
    Open& bucket =
        open.try_emplace(key, Open{{}, 0, std::min(first_cap_bytes, cap_bytes)})
            .first->second;
    bucket.members.push_back(order[i]);
    bucket.bytes += static_cast<int64_t>(parameter.nbytes());
    bucket.last = i;
    if (bucket.bytes >= bucket.cap) {
      buckets.push_back(std::move(bucket.members));
      bucket = Open{{}, 0, cap_bytes};
    }
  }
  std::map<size_t, std::vector<size_t>> rest;
  for (auto& [key, bucket] : open) {
    if (!bucket.members.empty()) rest[bucket.last] = std::move(bucket.members);
  }
  for (auto& [last, members] : rest) buckets.push_back(std::move(members));
  return buckets;
}

BucketAssignment assign_buckets(const std::vector<at::Tensor>& parameters,
                                int64_t first_cap_bytes, int64_t cap_bytes) {
  std::vector<size_t> order(parameters.size());
  std::iota(order.rbegin(), order.rend(), 0);
  BucketAssignment buckets =
      assign_buckets_in_order(parameters, order, first_cap_bytes, cap_bytes);
  std::sort(buckets.begin(), buckets.end(),
            [](const auto& a, const auto& b) { return a.front() > b.front(); });
  return buckets;
}

}  // namespace lockstep::ddp
