// The simplest thing that is right: once backward is over, all-reduce each gradient by
// itself. As many messages as parameters, and nothing overlaps.
#include "ddp/passes.h"
#include "ddp/reducers.h"

namespace lockstep::ddp {
namespace {

class NaiveReducer final : public Reducer {
 public:
  NaiveReducer(const NamedParameters& parameters, comm::ProcessGroup& group,
               int64_t passes)
      : parameters_(tensors_of(parameters)), group_(group), passes_(passes) {}

  void zero_grad() override {
    if (!passes_.fresh()) return;
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  }

  void prepare(const at::Tensor& /*logits*/) override {}

  void finalize() override {
    const bool reduce = passes_.last();
    passes_.end(reduce);
    if (!reduce) return;
    for (at::Tensor& parameter : parameters_) {
      at::Tensor& grad = parameter.mutable_grad();
      // Every rank must send as many messages: a parameter without a gradient sends
      // zeros.
      if (!grad.defined()) grad = at::zeros_like(parameter);
      if (!grad.is_contiguous()) grad = grad.contiguous();
      group_.all_reduce_mean(grad).wait();
    }
  }

 private:
  std::vector<at::Tensor> parameters_;
  comm::ProcessGroup& group_;
  Passes passes_;
};

}  // namespace

ReducerPtr make_naive_reducer(const NamedParameters& parameters,
                              comm::ProcessGroup& group, const TrainOptions& options) {
  return std::make_unique<NaiveReducer>(parameters, group, options.accumulate);
}

}  // namespace lockstep::ddp
