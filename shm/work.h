// A collective that was started on the board, as c10d hands it out. Whoever waits for
// it, or asks whether it is done, does this rank's part of it.
#pragma once

#include <ATen/core/ivalue.h>

#include <memory>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

#include "shm/board.h"

namespace lockstep::shm {

class ShmWork final : public c10d::Work {
 public:
  ShmWork(int rank, c10d::OpType type, std::shared_ptr<Board> board)
      : Work(rank, type),
        board_(std::move(board)),
        future_(c10::make_intrusive<c10::ivalue::Future>(
            c10::ListType::create(c10::TensorType::get()))) {}

  void set_number(uint64_t number) { number_ = number; }
  // The results, from the board's own thread of this rank.
  void complete(const std::vector<at::Tensor>& results) {
    done_ = true;
    future_->markCompleted(results);
  }

  bool isCompleted() override { return done_ || board_->is_finished(number_); }
  bool isSuccess() const override { return done_; }
  bool wait(std::chrono::milliseconds /*timeout*/) override {
    if (!done_) board_->finish(number_);
    return true;
  }
  void synchronize() override {}
  uint64_t getSequencenumber() const override { return number_; }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }

 private:
  std::shared_ptr<Board> board_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
  uint64_t number_ = 0;
  bool done_ = false;
};

}  // namespace lockstep::shm
