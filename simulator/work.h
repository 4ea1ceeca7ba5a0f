// What a rank has launched, as c10d hands it out: waited for by the virtual clock.
//
// Who waits for its future instead (LibTorch's own reducer does) waits in real time,
// for ever: nobody else runs meanwhile.
#pragma once

#include <ATen/core/ivalue.h>

#include <string>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <utility>
#include <vector>

#include "simulator/clock.h"

namespace lockstep::simulator {

class SimulatedWork final : public c10d::Work {
 public:
  // `what` it is that a rank "waits for".
  SimulatedWork(int rank, c10d::OpType type, Clock& clock, std::string what)
      : Work(rank, type),
        clock_(clock),
        what_(std::move(what)),
        future_(c10::make_intrusive<c10::ivalue::Future>(
            c10::ListType::create(c10::TensorType::get()))) {}

  // From what happens at its end.
  void complete(const std::vector<at::Tensor>& results) {
    done_ = true;
    future_->markCompleted(results);
  }

  // To look takes a microsecond, or a rank that does nothing else would stop the clock.
  bool isCompleted() override {
    if (!done_) clock_.sleep(1e-6);
    return done_;
  }
  bool isSuccess() const override { return done_; }
  bool wait(std::chrono::milliseconds /*timeout*/) override {
    clock_.wait(done_, what_);
    return true;
  }
  void synchronize() override {}
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }

 private:
  Clock& clock_;
  const std::string what_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
  bool done_ = false;
};
using WorkPtr = c10::intrusive_ptr<SimulatedWork>;

}  // namespace lockstep::simulator
