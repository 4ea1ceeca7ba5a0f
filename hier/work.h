// A collective that was asked of the group's thread, as c10d hands it out.
#pragma once

#include <ATen/core/ivalue.h>

#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

namespace lockstep::hier {

class HierWork final : public c10d::Work {
 public:
  HierWork(int rank, c10d::OpType type)
      : Work(rank, type),
        future_(c10::make_intrusive<c10::ivalue::Future>(
            c10::ListType::create(c10::TensorType::get()))) {}

  // On the group's thread. The future first: who waited finds its callbacks called.
  void end(const std::vector<at::Tensor>& results, std::exception_ptr error) {
    if (error) {
      future_->setError(error);
    } else {
      future_->markCompleted(results);
    }
    finish(error);
  }

  void synchronize() override {}
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }

 private:
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

}  // namespace lockstep::hier
