// A bucket whose gradients a communication hook brings together. They lie flat, over
// every backend: hooks compute with all of them.
//
// Note [Later stages start in rounds]
// A hook may need several collectives a bucket, of which the later ones build on the
// earlier ones' results. Which bucket's first stage is over first differs between
// ranks, and a collective is matched across ranks by its place in the order of calls:
// so nobody asks who is ready. All first stages start as their buckets are complete;
// when backward is over the reducer goes round the buckets in index order, again and
// again, and takes each one a stage further. Whoever waits for one bucket has the
// others' collectives under way.
#include <ATen/core/grad_mode.h>

#include "ddp/bucket.h"
#include "ddp/bucketed_reducer.h"
#include "hooks/comm_hook.h"

namespace lockstep::ddp {
namespace {

class HookedBucket final : public Bucket {
 public:
  HookedBucket(std::vector<at::Tensor> parameters, comm::ProcessGroup& group,
               hooks::CommHook& hook, size_t index, bool is_last)
      : hook_(hook),
        flat_(std::move(parameters), group),
        seen_(index, is_last, flat_.flat(), flat_.views(), flat_.parameters()) {}

  bool take(size_t index, bool alone) override { return flat_.take(index, alone); }
  void lend(size_t index) override { flat_.lend(index); }
  void give_back(size_t index) override { flat_.give_back(index); }
  void fill(double value) override { flat_.fill(value); }

  comm::Work reduce(comm::ProcessGroup& group) override {
    const at::NoGradGuard no_grad;
    reduction_ = hook_.start(seen_, group);
    return {};
  }
  bool advance() override {
    if (!reduction_) return false;
    const at::NoGradGuard no_grad;
    if (reduction_->advance()) return true;
    reduction_.reset();
    return false;
  }

 private:
  hooks::CommHook& hook_;
  FlatBucket flat_;
  hooks::GradBucket seen_;
  std::unique_ptr<hooks::Reduction> reduction_;
};

}  // namespace

std::unique_ptr<Bucket> make_hooked_bucket(std::vector<at::Tensor> parameters,
                                           comm::ProcessGroup& group,
                                           hooks::CommHook& hook, size_t index,
                                           bool is_last) {
  return std::make_unique<HookedBucket>(std::move(parameters), group, hook, index,
                                        is_last);
}

void BucketedReducer::register_comm_hook(std::unique_ptr<hooks::CommHook> hook) {
  TORCH_CHECK(hook != nullptr, "register_comm_hook: no hook was given");
  TORCH_CHECK(
      hook_ == nullptr,
      "register_comm_hook can only be called once: this reducer has a hook; make "
      "a reducer for each");
  TORCH_CHECK(!prepared_,
              "register_comm_hook comes before the first backward pass, which has its "
              "buckets already; register the hook where the reducer is made");
  TORCH_CHECK(!options_.ddp.shard_optimizer,
              "register_comm_hook: a hook brings gradients together, and "
              "--shard-optimizer steps the parameters instead; leave one of them out");
  hook_ = std::move(hook);
  make_buckets(BucketAssignment(assignment_));
}

}  // namespace lockstep::ddp
