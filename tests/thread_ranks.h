// Ranks as threads of one process, for tests alone: quick to start, and the
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
#include "device/ledger_allocator.h"
#include "shm/thread_groups.h"

namespace lockstep::ddp {

class RecordingBackend final : public c10d::Backend {
 public:
  explicit RecordingBackend(c10::intrusive_ptr<c10d::Backend> backend)
      : Backend(backend->getRank(), backend->getSize()),
        backend_(std::move(backend)),
        random_(static_cast<unsigned>(rank_)) {}

  // Elements of each all_reduce since this was last asked, in the order of calls.
  std::vector<int64_t> take_all_reduced() { return std::exchange(all_reduced_, {}); }
  // Broadcasts since this was last asked.
  int64_t take_broadcasts() { return std::exchange(broadcasts_, 0); }
  // Sleep up to so long before an all_reduce.
  void hesitate(std::chrono::microseconds longest) { longest_ = longest; }

  const std::string getBackendName() const override {
    return backend_->getBackendName();
  }

  bool supportsTensorAlloc(c10::DeviceIndex device) override {
    return backend_->supportsTensorAlloc(device);
  }
  at::Tensor allocateTensor(long elements, at::TensorOptions options) override {
    return backend_->allocateTensor(elements, options);
  }

  c10::intrusive_ptr<c10d::Work> allreduce(
      std::vector<at::Tensor>& tensors,
      const c10d::AllreduceOptions& options) override {
    note(tensors);
    return backend_->allreduce(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> allreduce_coalesced(
      std::vector<at::Tensor>& tensors,
      const c10d::AllreduceCoalescedOptions& options) override {
    note(tensors);
    return backend_->allreduce_coalesced(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> broadcast(
      std::vector<at::Tensor>& tensors,
      const c10d::BroadcastOptions& options) override {
    ++broadcasts_;
    return backend_->broadcast(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> allgather(
      std::vector<std::vector<at::Tensor>>& outputs, std::vector<at::Tensor>& inputs,
      const c10d::AllgatherOptions& options) override {
    return backend_->allgather(outputs, inputs, options);
  }

 private:
  void note(const std::vector<at::Tensor>& tensors) {
    if (longest_.count() > 0) {
      std::this_thread::sleep_for(
          std::chrono::microseconds(random_() % longest_.count()));
    }
    all_reduced_.push_back(0);
    for (const at::Tensor& tensor : tensors) all_reduced_.back() += tensor.numel();
  }

  c10::intrusive_ptr<c10d::Backend> backend_;
  std::vector<int64_t> all_reduced_;
  int64_t broadcasts_ = 0;
  std::chrono::microseconds longest_{0};
  std::minstd_rand random_;
};

struct ThreadRank {
  int rank;
  int size;
  comm::ProcessGroup& group;
  RecordingBackend& recording;
};

// The group of a rank, over gloo or shm. Over shm a rank's thread is the card of its
// number, whose memory is the shared one: gradients lie where all ranks see them.
inline shm::GroupPtr make_test_group(const c10::intrusive_ptr<c10d::Store>& store,
                                     int rank, int size, const std::string& backend) {
  if (backend == "gloo") {
    return comm::make_gloo(store, rank, size, "127.0.0.1", shm::kTestTimeout);
  }
  device::install_ledger();
  return shm::make_shm(store, rank, size, shm::kTestTimeout, /*card=*/rank);
}

// Every rank a thread in the account of its card, with a group as programs have it.
inline void run_card_ranks(int size, const std::string& backend,
                           const std::function<void(comm::ProcessGroup&)>& work) {
  device::install_ledger();
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto make = [&](int rank) {
    return make_test_group(store, rank, size, backend);
  };
  shm::on_groups(size, make, [&](shm::GroupPtr& group) {
    const device::AccountScope scope({group->rank(), device::Category::other});
    work(*group);
  });
}

// Every rank a thread with a group that records.
inline void run_thread_ranks(int size,
                             const std::function<void(const ThreadRank&)>& work,
                             const std::string& backend = "gloo") {
  run_card_ranks(size, backend, [&](comm::ProcessGroup& plain) {
    const auto recording = c10::make_intrusive<RecordingBackend>(plain.backend());
    comm::ProcessGroup group(recording);
    work({plain.rank(), size, group, *recording});
  });
}

// The same over gloo, whose buckets lie in memory of their own, and over shm, which
// adds gradients up where they are.
inline void run_over_each_backend(int size,
                                  const std::function<void(const ThreadRank&)>& work) {
  run_thread_ranks(size, work, "gloo");
  run_thread_ranks(size, work, "shm");
}

}  // namespace lockstep::ddp
