// Real training on a student's reducer: where every run is the same, and where races
// show.
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "comm/gloo.h"
#include "labs/graders/simulated_training.h"
#include "labs/graders/small_run.h"
#include "labs/reducers/reducer_checks.h"
#include "shm/thread_groups.h"
#include "single_gpu/train.h"

namespace lockstep::labs {
namespace {

constexpr int kRanks = 3;
constexpr int64_t kGlobalBatch = 24;
constexpr int kRunsOnThreads = 5;

World world_of(int rank) {
  World world;
  world.rank = world.local_rank = rank;
  world.world_size = world.local_world_size = kRanks;
  return world;
}

TrainOptions run_of(uint64_t seed, const ReducerOptions& reducer) {
  TrainOptions run = small_run(seed, /*samples=*/2 * kGlobalBatch);
  run.batch_size = kGlobalBatch / kRanks / reducer.accumulate;
  run.accumulate = reducer.accumulate;
  run.gpus = kRanks;
  run.ddp.reducer = "student";
  run.ddp.bucket_cap_mb = static_cast<double>(reducer.bucket_cap_bytes) / (1 << 20);
  return run;
}

// Where a collective goes on beside the thread that launched it.
TrainReport train_on_threads(TrainOptions run) {
  run.backend = "threads";
  const auto store = c10::make_intrusive<c10d::HashStore>();
  training::process_groups().add("threads", [&](const auto&, const World& world) {
    return comm::make_gloo(store, world.rank, kRanks, "127.0.0.1",
                           std::chrono::seconds(3));
  });
  std::vector<TrainReport> reports(kRanks);
  shm::on_threads(kRanks,
                  [&](int rank) { reports[rank] = ddp::train(run, world_of(rank)); });
  return training::merge(reports);
}

}  // namespace

void expect_training_as_on_one_card(uint64_t seed, const ReducerOptions& options) {
  TrainOptions run = run_of(seed, options);
  TrainOptions one = run;
  one.gpus = 1;
  one.batch_size = kGlobalBatch / options.accumulate;
  const TrainReport one_card = single_gpu::train(one, {});
  expect_losses(train_simulated(run, kRanks, slow_links(), world_of), one_card,
                misconception("not_reduced"));
  for (int i = 0; i < kRunsOnThreads; ++i) {
    expect_losses(train_on_threads(run), one_card, misconception("reads_before_wait"));
  }
}

}  // namespace lockstep::labs
