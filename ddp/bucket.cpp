#include "ddp/bucket.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "device/memory_ledger.h"

namespace lockstep::ddp {

Bucket::Bucket(std::vector<at::Tensor> parameters)
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
  flat_ = at::zeros({elements}, parameters_.front().options().requires_grad(false));
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

void Bucket::zero_grad() {
  flat_.zero_();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].grad().is_same(views_[i]))
      parameters_[i].mutable_grad() = views_[i];
  }
}

void Bucket::recapture(size_t index) {
  at::Tensor& grad = parameters_[index].mutable_grad();
  if (grad.is_same(views_[index])) return;
  const at::NoGradGuard no_grad;
  if (grad.defined()) views_[index].copy_(grad);
  grad = views_[index];
}

std::vector<std::vector<size_t>> assign_buckets(
    const std::vector<at::Tensor>& parameters, int64_t first_cap_bytes,
    int64_t cap_bytes) {
  struct Open {
    std::vector<size_t> members;
    int64_t bytes = 0;
  };
  std::vector<std::vector<size_t>> buckets;
  std::map<at::ScalarType, Open> open;
  // Each type has its own first bucket.
  std::map<at::ScalarType, int64_t> cap;
  for (size_t back = parameters.size(); back-- > 0;) {
    const at::ScalarType type = parameters[back].scalar_type();
    Open& bucket = open[type];
    cap.try_emplace(type, std::min(first_cap_bytes, cap_bytes));
    bucket.members.push_back(back);
    bucket.bytes += static_cast<int64_t>(parameters[back].nbytes());
    if (bucket.bytes >= cap[type]) {
      buckets.push_back(std::move(bucket.members));
      bucket = Open{};
      cap[type] = cap_bytes;
    }
  }
  for (auto& [type, bucket] : open) {
    if (!bucket.members.empty()) buckets.push_back(std::move(bucket.members));
  }
  // Ready first, launched first: the bucket whose first member is nearest the output.
  // With one type this is the order they were closed in.
  std::sort(buckets.begin(), buckets.end(),
            [](const auto& a, const auto& b) { return a.front() > b.front(); });
  return buckets;
}

}  // namespace lockstep::ddp
