// The student's ring as what a real training adds its gradients up by: a backend of
// its own, whose all-reduce sends messages over gloo.
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "comm/gloo.h"
#include "ddp/train.h"
#include "labs/07_ring/ring_checks.h"
#include "labs/graders/small_run.h"
#include "labs/ring.h"
#include "shm/thread_groups.h"
#include "single_gpu/train.h"

namespace lockstep::labs {
namespace {

using WorkPtr = c10::intrusive_ptr<c10d::Work>;
using Tensors = std::vector<at::Tensor>;

constexpr int kRanks = 3;
constexpr int kLocalBatch = 4;
constexpr std::chrono::seconds kTimeout{3};

// A collective that was over when it was handed out.
class Done final : public c10d::Work {
 public:
  Done(int rank, const Tensors& results)
      : Work(rank, c10d::OpType::ALLREDUCE),
        future_(c10::make_intrusive<c10::ivalue::Future>(
            c10::ListType::create(c10::TensorType::get()))) {
    future_->markCompleted(results);
  }
  bool isCompleted() override { return true; }
  bool isSuccess() const override { return true; }
  bool wait(std::chrono::milliseconds /*timeout*/) override { return true; }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }

 private:
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

class RingBackend final : public c10d::Backend {
 public:
  explicit RingBackend(std::shared_ptr<comm::ProcessGroup> gloo)
      : Backend(gloo->rank(), gloo->size()),
        gloo_(std::move(gloo)),
        messages_(c10::make_intrusive<MessagesOnly>(gloo_->backend())) {}

  const std::string getBackendName() const override { return "student"; }

  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override {
    for (at::Tensor& tensor : tensors) {
      ring_all_reduces().at("student")(tensor, messages_);
      if (options.reduceOp == c10d::ReduceOp::AVG) tensor.div_(size_);
    }
    return c10::make_intrusive<Done>(rank_, tensors);
  }
  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override {
    return gloo_->backend()->broadcast(tensors, options);
  }
  WorkPtr allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& options) override {
    return gloo_->backend()->allgather(outputs, inputs, options);
  }
  WorkPtr barrier(const c10d::BarrierOptions& options) override {
    return gloo_->backend()->barrier(options);
  }

 private:
  std::shared_ptr<comm::ProcessGroup> gloo_;
  comm::ProcessGroup messages_;
};

// All ranks, each on its own thread; the first error, after all have ended.
TrainReport train_all(TrainOptions options) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  training::process_groups().add("student", [store](const TrainOptions&,
                                                    const World& world) {
    return std::make_shared<comm::ProcessGroup>(c10::make_intrusive<RingBackend>(
        comm::make_gloo(store, world.rank, world.world_size, "127.0.0.1", kTimeout)));
  });
  options.gpus = kRanks;
  options.backend = "student";
  std::vector<TrainReport> reports(kRanks);
  shm::on_threads(kRanks, [&](int rank) {
    World world = launch::on_one_machine(kRanks);
    world.rank = world.local_rank = rank;
    reports[static_cast<size_t>(rank)] = ddp::train(options, world);
  });
  return reports[0];
}

}  // namespace

void check_ring_training(uint64_t seed) {
  TrainOptions options = small_run(seed, /*samples=*/3 * kRanks * kLocalBatch);
  options.epochs = 1;
  options.ddp.reducer = "naive";  // matrices as they are
  options.batch_size = kRanks * kLocalBatch;
  const TrainReport one = single_gpu::train(options, {});
  options.batch_size = kLocalBatch;
  expect_losses(train_all(options), one,
                {"not_every_gradient",
                 "the sum is of every rank's gradient, once: one card's batch",
                 "3_ddp.md#the-ring"});
}

}  // namespace lockstep::labs
