// Ranks as threads of one process, over gloo, for tests alone: quick to start, and the
// sanitizers see all of them. A rank's process group notes the all-reduces it was asked
// for, and may hesitate before each.
#pragma once

#include <chrono>
#include <functional>
#include <random>
#include <thread>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <vector>

#include "comm/process_group.h"
#include "comm/thread_groups.h"

namespace lockstep::ddp {

class RecordingBackend final : public c10d::Backend {
 public:
  explicit RecordingBackend(c10::intrusive_ptr<c10d::Backend> backend)
      : Backend(backend->getRank(), backend->getSize()),
        backend_(std::move(backend)),
        random_(static_cast<unsigned>(rank_)) {}

  // Elements of each all_reduce since this was last asked, in the order of calls.
  std::vector<int64_t> take_all_reduced() { return std::exchange(all_reduced_, {}); }
  // Sleep up to so long before an all_reduce.
  void hesitate(std::chrono::microseconds longest) { longest_ = longest; }

  const std::string getBackendName() const override {
    return backend_->getBackendName();
  }

  c10::intrusive_ptr<c10d::Work> allreduce(
      std::vector<at::Tensor>& tensors,
      const c10d::AllreduceOptions& options) override {
    if (longest_.count() > 0) {
      std::this_thread::sleep_for(
          std::chrono::microseconds(random_() % longest_.count()));
    }
    all_reduced_.push_back(tensors.at(0).numel());
    return backend_->allreduce(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> broadcast(
      std::vector<at::Tensor>& tensors,
      const c10d::BroadcastOptions& options) override {
    return backend_->broadcast(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> allgather(
      std::vector<std::vector<at::Tensor>>& outputs, std::vector<at::Tensor>& inputs,
      const c10d::AllgatherOptions& options) override {
    return backend_->allgather(outputs, inputs, options);
  }

 private:
  c10::intrusive_ptr<c10d::Backend> backend_;
  std::vector<int64_t> all_reduced_;
  std::chrono::microseconds longest_{0};
  std::minstd_rand random_;
};

struct ThreadRank {
  int rank;
  int size;
  comm::ProcessGroup& group;
  RecordingBackend& recording;
};

// comm::on_ranks, with a group that records.
inline void run_thread_ranks(int size,
                             const std::function<void(const ThreadRank&)>& work) {
  comm::on_ranks(size, [&](comm::GroupPtr& gloo) {
    const auto recording = c10::make_intrusive<RecordingBackend>(gloo->backend());
    comm::ProcessGroup group(recording);
    work({group.rank(), size, group, *recording});
  });
}

}  // namespace lockstep::ddp
