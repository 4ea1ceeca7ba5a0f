// Lab 05: gradients travel in buckets. A message costs something however small it is;
// gradients that lie side by side in one tensor are one message.
#include <ATen/Functions.h>

#include <map>

#include "ddp/passes.h"
#include "labs/student_reducer.h"

namespace {

using namespace lockstep;

struct Bucket {
  std::vector<at::Tensor> parameters;
  int64_t bytes = 0;
  at::Tensor flat;  // their gradients, one after the other
};

// Last parameter first, one type a bucket; the parameter that brings a bucket to
// `cap_bytes` closes it. Buckets stand in the order in which they were opened.
std::vector<Bucket> make_buckets(const std::vector<at::Tensor>& parameters,
                                 int64_t cap_bytes) {
  std::vector<Bucket> buckets;
  std::map<at::ScalarType, size_t> open;
  for (size_t p = parameters.size(); p-- > 0;) {
    const auto [place, is_new] =
        open.try_emplace(parameters[p].scalar_type(), buckets.size());
    if (is_new) buckets.emplace_back();
    Bucket& bucket = buckets[place->second];
    bucket.parameters.push_back(parameters[p]);
    bucket.bytes += static_cast<int64_t>(parameters[p].nbytes());
    if (bucket.bytes >= cap_bytes) open.erase(place);
  }
  for (Bucket& bucket : buckets) {
    const at::Tensor& first = bucket.parameters.front();
    bucket.flat = at::empty({bucket.bytes / first.element_size()},
                            first.options().requires_grad(false));
  }
  return buckets;
}

class BucketReducer final : public ddp::Reducer {
 public:
  BucketReducer(const std::vector<at::Tensor>& parameters, comm::ProcessGroup& group,
                const labs::ReducerOptions& options)
      : group_(group),
        passes_(options.accumulate),
        buckets_(make_buckets(parameters, options.bucket_cap_bytes)) {}

  void zero_grad() override {
    if (!passes_.fresh()) return;
    for (const Bucket& bucket : buckets_) {
      for (const at::Tensor& one : bucket.parameters) one.mutable_grad().reset();
    }
  }

  void prepare(const at::Tensor& /*logits*/) override {}

  void finalize() override {
    const bool reduce = passes_.last();
    passes_.end(reduce);
    if (!reduce) return;
    for (const Bucket& bucket : buckets_) {
      each_place(bucket, [](const at::Tensor& place, at::Tensor& gradient) {
        if (gradient.defined()) {
          place.copy_(gradient);
        } else {
          place.zero_();
        }
      });
      group_.all_reduce(bucket.flat).wait();
      bucket.flat.div_(group_.size());
      each_place(bucket, [](const at::Tensor& place, at::Tensor& gradient) {
        gradient = place.clone();
      });
    }
  }

 private:
  // `work` on each gradient of the bucket and its place there.
  template <class Work>
  static void each_place(const Bucket& bucket, const Work& work) {
    int64_t offset = 0;
    for (const at::Tensor& parameter : bucket.parameters) {
      const at::Tensor place = bucket.flat.narrow(0, offset, parameter.numel());
      work(place.view(parameter.sizes()), parameter.mutable_grad());
      offset += parameter.numel();
    }
  }

  comm::ProcessGroup& group_;
  ddp::Passes passes_;
  std::vector<Bucket> buckets_;
};

ddp::ReducerPtr make_reducer(const std::vector<at::Tensor>& parameters,
                             comm::ProcessGroup& group,
                             const labs::ReducerOptions& options) {
  return std::make_unique<BucketReducer>(parameters, group, options);
}

const labs::RegisteredReducer reducer("student", &make_reducer);

}  // namespace
