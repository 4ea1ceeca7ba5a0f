// What lab 7's checks share: a group that has send and recv alone, over another's, and
// knows what was sent, which the student's ring is given; and its training.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::labs {

class MessagesOnly final : public c10d::Backend {
 public:
  struct Message {
    int to;
    int64_t bytes;
  };

  explicit MessagesOnly(c10::intrusive_ptr<c10d::Backend> backend)
      : Backend(backend->getRank(), backend->getSize()), backend_(std::move(backend)) {}

  const std::vector<Message>& sent() const { return sent_; }
  // Sends whose wait() was not called.
  int not_waited_for() const { return *open_; }

  const std::string getBackendName() const override { return "messages only"; }
  c10::intrusive_ptr<c10d::Work> send(std::vector<at::Tensor>& tensors, int to,
                                      int tag) override {
    sent_.push_back({to, static_cast<int64_t>(tensors.at(0).nbytes())});
    return c10::make_intrusive<Awaited>(backend_->send(tensors, to, tag), open_);
  }
  c10::intrusive_ptr<c10d::Work> recv(std::vector<at::Tensor>& tensors, int from,
                                      int tag) override {
    // Until it has come nobody may know what is there.
    if (tensors.at(0).is_floating_point()) {
      tensors[0].fill_(std::numeric_limits<double>::quiet_NaN());
    }
    return backend_->recv(tensors, from, tag);
  }
  c10::intrusive_ptr<c10d::Work> allreduce(
      std::vector<at::Tensor>& /*tensors*/,
      const c10d::AllreduceOptions& /*options*/) override {
    throw std::logic_error(
        "the ring is made of send and recv; all_reduce is what it makes");
  }

 private:
  // A send that says when it was waited for.
  class Awaited final : public c10d::Work {
   public:
    Awaited(c10::intrusive_ptr<c10d::Work> work, std::shared_ptr<int> open)
        : Work(-1, c10d::OpType::SEND), work_(std::move(work)), open_(std::move(open)) {
      ++*open_;
    }
    bool isCompleted() override { return work_->isCompleted(); }
    bool isSuccess() const override { return work_->isSuccess(); }
    bool wait(std::chrono::milliseconds timeout) override {
      if (open_) --*open_;
      open_.reset();
      return work_->wait(timeout);
    }
    c10::intrusive_ptr<c10::ivalue::Future> getFuture() override {
      return work_->getFuture();
    }

   private:
    c10::intrusive_ptr<c10d::Work> work_;
    std::shared_ptr<int> open_;
  };

  c10::intrusive_ptr<c10d::Backend> backend_;
  std::shared_ptr<int> open_ = std::make_shared<int>(0);
  std::vector<Message> sent_;
};

// Three ranks that train by the student's ring, beside one card. Throws
// grading::Refused for other losses, or what the ring throws.
void check_ring_training(uint64_t seed);

}  // namespace lockstep::labs
