// Overlaps communication with the backward pass: gradients lie in buckets, and as soon
// as the last gradient of a bucket is ready its all_reduce starts, while backward goes
// on with the layers before. After Li et al., "PyTorch Distributed", VLDB 2020,
// section 3.2, and torch/csrc/distributed/c10d/reducer.cpp.
//
// Note [Buckets launch in index order]
// A collective is matched across ranks by its place in the order of calls. Autograd may
// make gradients ready in another order on another rank, so a bucket that is complete
// waits until all buckets before it have been launched. Indices follow the reversed
// order of parameters, the same on every rank, near to the order in which gradients
// come.
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "ddp/bucket.h"
#include "ddp/reducers.h"

namespace lockstep::ddp {
namespace {

using torch::autograd::variable_list;
using torch::autograd::utils::LambdaPostHook;

class BucketedReducer final : public Reducer {
 public:
  BucketedReducer(const Parameters& parameters, comm::ProcessGroup& group,
                  const training::DdpOptions& options)
      : group_(group) {
    constexpr double kMiB = 1024 * 1024;
    const auto assignment = assign_buckets(
        parameters, static_cast<int64_t>(options.first_bucket_cap_mb * kMiB),
        static_cast<int64_t>(options.bucket_cap_mb * kMiB));
    for (const std::vector<size_t>& members : assignment) {
      Parameters in_bucket;
      for (const size_t index : members) in_bucket.push_back(parameters[index]);
      buckets_.push_back({Bucket(std::move(in_bucket)), 0, {}});
    }
    for (size_t b = 0; b < buckets_.size(); ++b) hook_members(b);
  }

  ~BucketedReducer() override {
    for (const auto& [accumulator, key] : hooks_) accumulator->del_post_hook(key);
  }

  void zero_grad() override {
    for (Slot& slot : buckets_) slot.bucket.zero_grad();
  }

  void prepare(const at::Tensor& /*logits*/) override {
    next_to_launch_ = 0;
    for (Slot& slot : buckets_) slot.pending = slot.bucket.parameters().size();
    in_backward_ = true;
  }

  void finalize() override {
    in_backward_ = false;
    for (size_t b = 0; b < buckets_.size(); ++b) {
      Slot& slot = buckets_[b];
      TORCH_CHECK(
          slot.pending == 0, "rank ", group_.rank(), ": backward left ", slot.pending,
          " of ", slot.bucket.parameters().size(), " gradients of bucket ", b,
          " unready: the loss does not depend on these parameters; try the naive "
          "or flat reducer, which send zeros for them");
      slot.work.wait();
    }
  }

 private:
  struct Slot {
    Bucket bucket;
    size_t pending;  // gradients still to come in this backward pass
    comm::Work work;
  };

  void hook_members(size_t b) {
    const Parameters& members = buckets_[b].bucket.parameters();
    for (size_t i = 0; i < members.size(); ++i) {
      auto accumulator = torch::autograd::impl::grad_accumulator(members[i]);
      const uintptr_t key = accumulator->add_post_hook(std::make_unique<LambdaPostHook>(
          [this, b, i](const variable_list& outputs, const variable_list&) {
            mark_ready(b, i);
            return outputs;
          }));
      hooks_.emplace_back(std::move(accumulator), key);
    }
  }

  // On the thread of the backward pass, which on the CPU is the loop's own.
  void mark_ready(size_t b, size_t index) {
    if (!in_backward_)
      return;  // a backward pass that nobody prepared: gradients stay local
    Slot& slot = buckets_[b];
    slot.bucket.recapture(index);
    if (--slot.pending > 0) return;
    // See Note [Buckets launch in index order].
    while (next_to_launch_ < buckets_.size() &&
           buckets_[next_to_launch_].pending == 0) {
      launch(buckets_[next_to_launch_++]);
    }
  }

  void launch(Slot& slot) {
    // Divided before the sum: the pass over the bucket overlaps with its neighbours'
    // messages.
    slot.bucket.flat().div_(group_.size());
    slot.work = group_.all_reduce(slot.bucket.flat());
  }

  comm::ProcessGroup& group_;
  std::vector<Slot> buckets_;
  size_t next_to_launch_ = 0;
  bool in_backward_ = false;
  // Each parameter's AccumulateGrad, kept alive, and our hook on it.
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, uintptr_t>> hooks_;
};

}  // namespace

ReducerPtr make_bucketed_reducer(const Parameters& parameters,
                                 comm::ProcessGroup& group,
                                 const training::DdpOptions& options) {
  return std::make_unique<BucketedReducer>(parameters, group, options);
}

}  // namespace lockstep::ddp
