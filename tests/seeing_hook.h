// Communication hooks for tests alone: one that shows what it was given, and one of as
// many stages as the bucket's index says.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "hooks/comm_hooks.h"

namespace lockstep::hooks {

// Shows each bucket, then brings the gradients together as DDP without a hook does.
class SeeingHook final : public CommHook {
 public:
  explicit SeeingHook(std::function<void(const GradBucket&)> see)
      : see_(std::move(see)), hook_(make_all_reduce_hook({})) {}

  std::unique_ptr<Reduction> start(const GradBucket& bucket,
                                   comm::ProcessGroup& group) override {
    see_(bucket);
    return hook_->start(bucket, group);
  }

 private:
  std::function<void(const GradBucket&)> see_;
  std::unique_ptr<CommHook> hook_;
};

// The mean in 1 to 3 collectives: all but the last are of one number.
class StagedHook final : public CommHook {
 public:
  std::unique_ptr<Reduction> start(const GradBucket& bucket,
                                   comm::ProcessGroup& group) override {
    return std::make_unique<Stages>(bucket, group);
  }

 private:
  class Stages final : public Reduction {
   public:
    Stages(const GradBucket& bucket, comm::ProcessGroup& group)
        : buffer_(bucket.buffer()), group_(group), left_(bucket.index() % 3) {
      start();
    }
    bool advance() override {
      work_.wait();
      if (left_ == 0) return false;
      --left_;
      start();
      return true;
    }

   private:
    void start() {
      if (left_ == 0) {
        work_ = group_.all_reduce_mean(buffer_);
        return;
      }
      number_ = buffer_.new_ones({1});
      work_ = group_.all_reduce(number_);
    }

    at::Tensor buffer_;
    comm::ProcessGroup& group_;
    size_t left_;
    at::Tensor number_;
    comm::Work work_;
  };
};

}  // namespace lockstep::hooks
