// ddp::train on ranks that are threads of this process: a whole run in a tenth of a
// second, whose observers are the test's. For tests alone.
#pragma once

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/optim/sgd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ddp/train.h"
#include "launch/listener.h"
#include "shm/thread_groups.h"
#include "tests/thread_ranks.h"
#include "training/catalog.h"
#include "training/observer.h"
#include "training/report.h"

namespace lockstep::ddp {

using Tensors = std::vector<at::Tensor>;

// Each rank trains with the options that `prepare` has made its own. Rethrows the first
// error.
inline std::vector<TrainReport> train_on_threads(
    int ranks, const TrainOptions& options,
    const std::function<void(int rank, TrainOptions& mine)>& prepare) {
  launch::Listener listener;
  const int port = listener.port();
  const int store_fd = listener.release();
  std::vector<TrainReport> reports(static_cast<size_t>(ranks));
  shm::on_threads(ranks, [&](int rank) {
    World world;
    world.rank = world.local_rank = rank;
    world.world_size = world.local_world_size = ranks;
    world.master_port = port;
    if (rank == 0) world.store_fd = store_fd;
    TrainOptions mine = options;
    mine.gpus = ranks;
    prepare(rank, mine);
    reports[static_cast<size_t>(rank)] = train(mine, world);
  });
  return reports;
}

// What a rank looks like after each step.
class Eyes final : public training::StepObserver {
 public:
  std::vector<Tensors> after;            // each step, the parameters
  std::vector<int64_t> messages;         // each step, all-reduces
  int64_t broadcasts = 0;                // in steps
  Tensors buffers;                       // in the end
  std::function<void(int64_t)> at_step;  // its beginning

  void built(const Network& model, torch::optim::Optimizer& /*optimizer*/) override {
    model_ = model.get();
  }
  void communicates(comm::ProcessGroup& group) override {
    recording_ = dynamic_cast<RecordingBackend*>(group.backend().get());
    if (recording_ != nullptr)
      recording_->take_broadcasts();  // of the first parameters
  }
  void before_batch(int64_t step, int64_t /*batch*/) override {
    if (at_step) at_step(step);
  }
  void after_step(const training::StepEnd& /*end*/) override {
    after.push_back(copies(model_->parameters()));
    if (recording_ == nullptr) return;
    messages.push_back(std::ssize(recording_->take_all_reduced()));
    broadcasts += recording_->take_broadcasts();
  }
  void finished(const torch::nn::Module& model) override {
    last_ = copies(model.parameters());
    buffers = copies(model.buffers());
  }
  const Tensors& last() const { return last_; }

  static Tensors copies(const Tensors& tensors) {
    Tensors all;
    for (const at::Tensor& one : tensors) all.push_back(one.detach().clone());
    return all;
  }

 private:
  const torch::nn::Module* model_ = nullptr;
  RecordingBackend* recording_ = nullptr;
  Tensors last_;
};

inline bool same(const Tensors& a, const Tensors& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!at::equal(a[i], b[i])) return false;
  }
  return true;
}

struct Trained {
  std::vector<TrainReport> reports;
  std::vector<std::shared_ptr<Eyes>> ranks;
};

inline Trained run(int ranks, const TrainOptions& options) {
  Trained trained;
  for (int rank = 0; rank < ranks; ++rank) {
    trained.ranks.push_back(std::make_shared<Eyes>());
  }
  trained.reports = train_on_threads(ranks, options, [&](int rank, TrainOptions& mine) {
    mine.observers.insert(mine.observers.begin(), trained.ranks[rank]);
  });
  for (const auto& eyes : trained.ranks) {
    EXPECT_TRUE(same(eyes->last(), trained.ranks[0]->last())) << "to the bit";
    EXPECT_TRUE(same(eyes->buffers, trained.ranks[0]->buffers)) << "to the bit";
  }
  return trained;
}

// A group that notes its collectives, which an observer finds in the group's backend.
inline training::ProcessGroupPtr recorded(const std::string& backend,
                                          const TrainOptions& options,
                                          const World& world) {
  const training::ProcessGroupPtr plain =
      training::process_groups().at(backend)(options, world);
  return {
      new comm::ProcessGroup(c10::make_intrusive<RecordingBackend>(plain->backend())),
      [plain](comm::ProcessGroup* group) { delete group; }};
}

// Backends "recorded-gloo" and "recorded-shm" are these.
inline void add_recorded_backends() {
  for (const std::string backend : {"gloo", "shm"}) {
    training::process_groups().add(
        "recorded-" + backend,
        [backend](const TrainOptions& options, const World& world) {
          return recorded(backend, options, world);
        });
  }
}

}  // namespace lockstep::ddp
