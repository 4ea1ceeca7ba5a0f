// One message for everything: the gradients lie in one bucket, which is all-reduced
// once backward is over. The fewest messages, and nothing overlaps.
#include "ddp/bucket.h"
#include "ddp/passes.h"
#include "ddp/reducers.h"

namespace lockstep::ddp {
namespace {

class FlatReducer final : public Reducer {
 public:
  FlatReducer(const NamedParameters& parameters, comm::ProcessGroup& group,
              int64_t passes)
      : parameters_(tensors_of(parameters)),
        bucket_(parameters_, group),
        group_(group),
        passes_(passes) {}

  void zero_grad() override {
    if (!passes_.fresh()) return;
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  }

  void prepare(const at::Tensor& /*logits*/) override {}

  void finalize() override {
    const bool reduce = passes_.last();
    passes_.end(reduce);
    if (!reduce) return;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      bucket_.take(i, /*alone=*/true);
      bucket_.lend(i);
    }
    bucket_.reduce(group_).wait();
  }

 private:
  std::vector<at::Tensor> parameters_;
  FlatBucket bucket_;
  comm::ProcessGroup& group_;
  Passes passes_;
};

}  // namespace

ReducerPtr make_flat_reducer(const NamedParameters& parameters,
                             comm::ProcessGroup& group, const TrainOptions& options) {
  return std::make_unique<FlatReducer>(parameters, group, options.accumulate);
}

}  // namespace lockstep::ddp
