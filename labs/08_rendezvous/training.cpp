// Two nodes of two cards, pretended: four ranks on threads, each with the world that
// the student computed for it, meet over a real store, and train.
#include <cstdlib>
#include <optional>

#include "ddp/train.h"
#include "labs/08_rendezvous/rendezvous_checks.h"
#include "labs/graders/small_run.h"
#include "launch/listener.h"
#include "shm/thread_groups.h"
#include "single_gpu/train.h"
#include "training/catalog.h"

namespace lockstep::labs {
namespace {

constexpr int kGlobalBatch = 16;
const std::string kSampler = "lab 08, told to rank ";

// Each on its own thread; the first one's error, after all have ended.
TrainReport train_all(const TrainOptions& usual, const std::vector<Told>& job,
                      const std::vector<World>& worlds) {
  std::vector<TrainReport> reports(job.size());
  shm::on_threads(static_cast<int>(job.size()), [&](int thread) {
    const auto i = static_cast<size_t>(thread);
    TrainOptions options = usual;
    options.batch_size = student().share(job[i]).local_batch;
    options.gpus = worlds[i].local_world_size;
    options.backend = "gloo";
    options.sampler = kSampler + std::to_string(i);
    options.timeout_s = 3;  // who waits for a rank that is not there
    reports[i] = ddp::train(options, worlds[i]);
  });
  return reports[0];
}

}  // namespace

void check_training(uint64_t seed) {
  // LibTorch's store asks for the name behind the address. A name server that does not
  // answer would cost the ranks ten seconds each.
  setenv("RES_OPTIONS", "timeout:1 attempts:1", /*overwrite=*/0);
  const std::string host = "127.0.0.1";
  std::optional<launch::Listener> listener(host);
  const int port = listener->port();
  int store_fd = -1;
  std::vector<Told> job = all_ranks({2, 2}, kGlobalBatch);
  std::vector<World> worlds;
  for (Told& told : job) {
    told.master_addr = host;
    told.master_port = port;
    const Ranks ranks = student().ranks(told);
    const Meeting place = student().meeting(told);
    World world;
    world.rank = ranks.rank;
    world.local_rank = ranks.card;
    world.node_rank = told.node_rank;
    world.world_size = ranks.world_size;
    world.local_world_size = 2;
    world.master_addr = place.host;
    world.master_port = place.port;
    world.agent_hosts_store = !place.hosts_store;
    if (place.hosts_store) {
      // A second one finds the address taken.
      if (store_fd >= 0) launch::Listener(host, port);
      world.store_fd = store_fd = listener->release();
    }
    training::samplers().add(
        kSampler + std::to_string(worlds.size()),
        [told](int64_t size, const TrainOptions& options, const World&) {
          const Share share = student().share(told);
          return std::make_unique<data::DistributedSampler>(
              size, share.shares, share.share, options.seed, options.drop_last);
        });
    worlds.push_back(world);
  }
  // Where nobody hosts nobody answers.
  if (store_fd < 0) listener.reset();
  TrainOptions options = small_run(seed, /*samples=*/3 * kGlobalBatch);
  options.epochs = 1;
  options.batch_size = kGlobalBatch;
  const TrainReport one = single_gpu::train(options, {});
  expect_losses(
      train_all(options, job, worlds), one,
      {"other_samples", "together the ranks take the samples of one card's batch",
       "4_many_machines.md#share-of-the-data"});
}

}  // namespace lockstep::labs
