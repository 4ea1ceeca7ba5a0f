// One message for everything: the gradients lie in one bucket, which is all-reduced
// once backward is over. The fewest messages, and nothing overlaps.
#include "ddp/bucket.h"
#include "ddp/reducers.h"

namespace lockstep::ddp {
namespace {

class FlatReducer final : public Reducer {
 public:
  FlatReducer(const Parameters& parameters, comm::ProcessGroup& group)
      : bucket_(parameters), group_(group) {}

  void zero_grad() override { bucket_.zero_grad(); }

  void prepare(const at::Tensor& /*logits*/) override {}

  void finalize() override {
    for (size_t i = 0; i < bucket_.parameters().size(); ++i) bucket_.recapture(i);
    group_.all_reduce(bucket_.flat()).wait();
    bucket_.flat().div_(group_.size());
  }

 private:
  Bucket bucket_;
  comm::ProcessGroup& group_;
};

}  // namespace

ReducerPtr make_flat_reducer(const Parameters& parameters, comm::ProcessGroup& group,
                             const training::DdpOptions& /*options*/) {
  return std::make_unique<FlatReducer>(parameters, group);
}

}  // namespace lockstep::ddp
