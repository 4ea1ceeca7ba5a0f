#include "averaging/rank_mean.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "device/memory_ledger.h"

namespace lockstep::averaging {
namespace {

bool all_dense(const std::vector<at::Tensor>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) {
    return tensor.is_non_overlapping_and_dense();
  });
}

// The numbers in the order of memory: dense tensors have the same on all ranks.
at::Tensor in_memory_order(const at::Tensor& tensor) {
  return tensor.as_strided({tensor.numel()}, {1});
}

}  // namespace

RankMean::RankMean(const std::vector<at::Tensor>& tensors, comm::ProcessGroup& group)
    : group_(group) {
  std::map<at::ScalarType, std::vector<at::Tensor>> by_type;
  for (const at::Tensor& tensor : tensors) {
    by_type[tensor.scalar_type()].push_back(tensor.detach());
  }
  const device::CategoryScope category(device::Category::buckets);
  for (auto& [type, parts] : by_type) {
    Message message;
    if (group.adds_in_place() && all_dense(parts)) {
      for (const at::Tensor& part : parts)
        message.parts.push_back(in_memory_order(part));
    } else {
      int64_t elements = 0;
      for (const at::Tensor& part : parts) elements += part.numel();
      message.flat = group.allocate(elements, parts.front().options());
      message.parts = parts;
    }
    messages_.push_back(std::move(message));
  }
}

void RankMean::take() {
  const at::NoGradGuard no_grad;
  for (const Message& message : messages_) {
    if (!message.flat.defined()) {
      group_.all_reduce_mean(message.parts).wait();
      continue;
    }
    const auto each = [&message](const auto& copy) {
      int64_t start = 0;
      for (const at::Tensor& part : message.parts) {
        copy(part, message.flat.narrow(0, start, part.numel()).view(part.sizes()));
        start += part.numel();
      }
    };
    each([](const at::Tensor& part, const at::Tensor& slice) { slice.copy_(part); });
    group_.all_reduce_mean(message.flat).wait();
    each([](const at::Tensor& part, const at::Tensor& slice) { part.copy_(slice); });
  }
}

}  // namespace lockstep::averaging
