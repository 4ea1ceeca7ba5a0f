// Lab 06: communication that hides behind backward. A hook on each parameter counts;
// the bucket whose last gradient has come is sent while backward goes on.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "ddp/bucket.h"
#include "ddp/gradient_hooks.h"
#include "ddp/passes.h"
#include "labs/student_reducer.h"

namespace {

using namespace lockstep;

struct Bucket {
  at::Tensor flat;
  size_t pending = 0;  // gradients that are still to come in this pass
  comm::Work work;
};

struct Place {  // of a parameter's gradient
  size_t bucket = 0;
  at::Tensor slice;  // of the bucket's flat tensor, of the parameter's sizes
  bool taken = false;
};

class OverlappingReducer final : public ddp::Reducer {
 public:
  OverlappingReducer(const std::vector<at::Tensor>& parameters,
                     comm::ProcessGroup& group, const labs::ReducerOptions& options)
      : parameters_(parameters),
        group_(group),
        passes_(options.accumulate),
        places_(parameters.size()),
        hooks_(parameters, [this](size_t p, bool /*alone*/) { gradient_came(p); }) {
    const int64_t cap = options.bucket_cap_bytes;
    for (const auto& members : ddp::assign_buckets(parameters, cap, cap)) {
      int64_t elements = 0;
      for (const size_t p : members) elements += parameters[p].numel();
      const at::Tensor flat =
          at::empty({elements}, parameters[members[0]].options().requires_grad(false));
      int64_t offset = 0;
      for (const size_t p : members) {
        const int64_t count = parameters[p].numel();
        places_[p] = {buckets_.size(),
                      flat.narrow(0, offset, count).view(parameters[p].sizes())};
        offset += count;
      }
      buckets_.emplace_back().flat = flat;
    }
  }

  void zero_grad() override {
    if (!passes_.fresh()) return;
    for (const at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  }

  // Before backward: nothing has come yet.
  void prepare(const at::Tensor& /*logits*/) override {
    next_ = 0;
    for (Bucket& bucket : buckets_) bucket.pending = 0;
    for (Place& place : places_) {
      place.taken = false;
      ++buckets_[place.bucket].pending;
    }
  }

  void finalize() override {
    const bool reduce = passes_.last();
    passes_.end(reduce);
    if (!reduce) return;
    for (size_t p = 0; p < places_.size(); ++p) {  // no gradient came
      if (!places_[p].taken) take(p);
    }
    for (Bucket& bucket : buckets_) {
      bucket.work.wait();
      bucket.flat.div_(group_.size());
    }
    for (size_t p = 0; p < places_.size(); ++p) {
      parameters_[p].mutable_grad() = places_[p].slice.clone();
    }
  }

 private:
  // On this rank's thread, from within backward.
  void gradient_came(size_t p) {
    if (passes_.last()) take(p);
  }

  void take(size_t p) {
    const at::NoGradGuard no_grad;
    Place& place = places_[p];
    const at::Tensor& gradient = parameters_[p].grad();
    if (gradient.defined()) {
      place.slice.copy_(gradient);
    } else {
      place.slice.zero_();
    }
    place.taken = true;
    --buckets_[place.bucket].pending;
    launch_complete();
  }

  // In index order on every rank, whatever order gradients come in.
  void launch_complete() {
    while (next_ < buckets_.size() && buckets_[next_].pending == 0) {
      Bucket& bucket = buckets_[next_++];
      bucket.work = group_.all_reduce(bucket.flat);
    }
  }

  std::vector<at::Tensor> parameters_;
  comm::ProcessGroup& group_;
  ddp::Passes passes_;
  std::vector<Bucket> buckets_;
  std::vector<Place> places_;
  size_t next_ = 0;  // to launch
  ddp::GradientHooks hooks_;
};

ddp::ReducerPtr make_reducer(const std::vector<at::Tensor>& parameters,
                             comm::ProcessGroup& group,
                             const labs::ReducerOptions& options) {
  return std::make_unique<OverlappingReducer>(parameters, group, options);
}

const labs::RegisteredReducer reducer("student", &make_reducer);

}  // namespace
