// Hooks of one collective a bucket, which overlaps with backward as without a hook.
// After torch/distributed/algorithms/ddp_comm_hooks/default_hooks.py.
#include <ATen/core/Tensor.h>

#include "device/memory_ledger.h"
#include "hooks/comm_hooks.h"

namespace lockstep::hooks {
namespace {

class AllReduce final : public Reduction {
 public:
  explicit AllReduce(comm::Work work) : work_(std::move(work)) {}
  bool advance() override {
    work_.wait();
    return false;
  }

 private:
  comm::Work work_;
};

class AllReduceHook final : public CommHook {
 public:
  std::unique_ptr<Reduction> start(const GradBucket& bucket,
                                   comm::ProcessGroup& group) override {
    return std::make_unique<AllReduce>(group.all_reduce_mean(bucket.buffer()));
  }
};

class RoundedAllReduce final : public Reduction {
 public:
  RoundedAllReduce(const at::Tensor& buffer, at::Tensor rounded,
                   comm::ProcessGroup& group)
      : buffer_(buffer),
        rounded_(std::move(rounded)),
        work_(group.all_reduce(rounded_)) {}
  bool advance() override {
    work_.wait();
    buffer_.copy_(rounded_);
    return false;
  }

 private:
  at::Tensor buffer_;
  at::Tensor rounded_;
  comm::Work work_;
};

class RoundingHook final : public CommHook {
 public:
  explicit RoundingHook(at::ScalarType type) : type_(type) {}

  std::unique_ptr<Reduction> start(const GradBucket& bucket,
                                   comm::ProcessGroup& group) override {
    const at::Tensor& buffer = bucket.buffer();
    const device::CategoryScope category(device::Category::buckets);
    const at::Tensor rounded =
        group.allocate(buffer.numel(), buffer.options().dtype(type_));
    buffer.div_(group.size());
    rounded.copy_(buffer);
    return std::make_unique<RoundedAllReduce>(buffer, rounded, group);
  }

 private:
  at::ScalarType type_;
};

}  // namespace

std::unique_ptr<CommHook> make_all_reduce_hook(const HookOptions&) {
  return std::make_unique<AllReduceHook>();
}

std::unique_ptr<CommHook> make_fp16_hook(const HookOptions&) {
  return std::make_unique<RoundingHook>(at::kHalf);
}

std::unique_ptr<CommHook> make_bf16_hook(const HookOptions&) {
  return std::make_unique<RoundingHook>(at::kBFloat16);
}

}  // namespace lockstep::hooks
