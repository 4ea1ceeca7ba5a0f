// Lab 04: DDP in its simplest form. Replicas that start equal, see the same buffers and
// step by the same mean gradient stay equal: in lockstep.
#include "labs/naive_ddp.h"

#include <ATen/Functions.h>

namespace {

using namespace lockstep;

[[noreturn]] void not_written(const std::string& function) {
  throw std::logic_error("lab 04: " + function + " is not written yet");
}

// Once, before the first step: every rank takes rank 0's parameters and buffers.
void start_equal(const std::vector<at::Tensor>& parameters,
                 const std::vector<at::Tensor>& buffers, comm::ProcessGroup& group) {
  not_written("start_equal");
}

// Before every forward pass: every rank takes rank 0's buffers.
void before_forward(const std::vector<at::Tensor>& buffers, comm::ProcessGroup& group) {
  not_written("before_forward");
}

class NaiveReducer final : public ddp::Reducer {
 public:
  NaiveReducer(const std::vector<at::Tensor>& parameters, comm::ProcessGroup& group,
               const labs::ReducerOptions& options)
      : parameters_(parameters), group_(group), accumulate_(options.accumulate) {}

  // Before a forward pass: forgets the gradients that the last step is done with.
  // (parameter.mutable_grad().reset() makes one undefined.)
  void zero_grad() override { not_written("zero_grad"); }

  void prepare(const at::Tensor& /*logits*/) override {}  // nothing to do here

  // After a backward pass: where it was the last of `accumulate` passes, every gradient
  // becomes its mean over ranks. Else nothing is sent.
  void finalize() override { not_written("finalize"); }

 private:
  std::vector<at::Tensor> parameters_;
  [[maybe_unused]] comm::ProcessGroup& group_;
  [[maybe_unused]] const int64_t accumulate_;
};

ddp::ReducerPtr make_reducer(const std::vector<at::Tensor>& parameters,
                             comm::ProcessGroup& group,
                             const labs::ReducerOptions& options) {
  return std::make_unique<NaiveReducer>(parameters, group, options);
}

const labs::Registered start(labs::starts(), "student", &start_equal);
const labs::Registered before(labs::before_forwards(), "student", &before_forward);
const labs::RegisteredReducer reducer("student", &make_reducer);

}  // namespace
