// The simplest thing that is right: once backward is over, all-reduce each gradient by
// itself. As many messages as parameters, and nothing overlaps.
#include "ddp/reducers.h"

namespace lockstep::ddp {
namespace {

class NaiveReducer final : public Reducer {
 public:
  NaiveReducer(Parameters parameters, comm::ProcessGroup& group)
      : parameters_(std::move(parameters)), group_(group) {}

  void zero_grad() override {
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  }

  void prepare(const at::Tensor& /*logits*/) override {}

  void finalize() override {
    for (at::Tensor& parameter : parameters_) {
      at::Tensor& grad = parameter.mutable_grad();
      // Every rank must send as many messages: a parameter without a gradient sends
      // zeros.
      if (!grad.defined()) grad = at::zeros_like(parameter);
      if (!grad.is_contiguous()) grad = grad.contiguous();
      group_.all_reduce(grad).wait();
      grad.div_(group_.size());
    }
  }

 private:
  Parameters parameters_;
  comm::ProcessGroup& group_;
};

}  // namespace

ReducerPtr make_naive_reducer(const Parameters& parameters, comm::ProcessGroup& group,
                              const training::DdpOptions& /*options*/) {
  return std::make_unique<NaiveReducer>(parameters, group);
}

}  // namespace lockstep::ddp
