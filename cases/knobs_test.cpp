// The knobs of a sweep: which cases they multiply, and what these are called.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "cases/experiments.h"
#include "cases/sweep_names.h"

namespace lockstep::cases {
namespace {

// Note [Names of cases]
TEST(Knobs, NamesTellTheKnobsThatAreSweptAndThoseAlone) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp"};
  sweep.gpus = {2};
  sweep.reducers = {"flat"};
  sweep.backends = {"gloo"};
  sweep.bucket_caps_mb = {5};
  sweep.batch_sizes = {32};
  EXPECT_EQ(names_of(sweep), (Names{"single/mlp/cards:1", "ddp/mlp/cards:2"}));
  sweep.reducers = {"flat", "bucketed", "flat"};
  sweep.bucket_caps_mb = {0, 2.5, 0};
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "ddp/mlp/cards:2/reducer:flat",
                   "ddp/mlp/cards:2/reducer:bucketed/cap:0",
                   "ddp/mlp/cards:2/reducer:bucketed/cap:2.5"}))
      << "flat has no buckets, and what is named twice is run once";
  sweep.reducers = {"bucketed"};
  sweep.bucket_caps_mb = {5};
  sweep.backends = {"gloo", "shm"};
  sweep.batch_sizes = {32, 64};
  sweep.scalings = {"weak", "strong"};
  const Names names = names_of(sweep);
  EXPECT_EQ(names.size(), 12U) << "of each batch and scaling a single card and two ddp";
  EXPECT_EQ(names[0], "single/mlp/cards:1/batch:32/scaling:weak");
  EXPECT_EQ(names.back(), "ddp/mlp/cards:2/batch:64/backend:shm/scaling:strong");
  sweep.reducers = {"naive", "bucketed"};
  sweep.bucket_caps_mb = {1, 25};
  EXPECT_EQ(names_of(sweep).back(),
            "ddp/mlp/cards:2/batch:64/reducer:bucketed/cap:25/backend:shm/"
            "scaling:strong");
}

TEST(Knobs, WhatIsSentIsSweptOfTheBucketedReducerAlone) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp"};
  sweep.gpus = {2};
  sweep.comm_hooks = {"allreduce", "fp16"};
  sweep.overlap = {"yes", "no"};
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "ddp/mlp/cards:2/hook:allreduce/overlap:yes",
                   "ddp/mlp/cards:2/hook:allreduce/overlap:no",
                   "ddp/mlp/cards:2/hook:fp16/overlap:yes",
                   "ddp/mlp/cards:2/hook:fp16/overlap:no"}));
  sweep.reducers = {"flat", "bucketed", "diloco"};
  sweep.overlap = {"yes"};
  sweep.local_sgd = 50;
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "ddp/mlp/cards:2/reducer:flat",
                   "ddp/mlp/cards:2/reducer:bucketed/hook:allreduce",
                   "ddp/mlp/cards:2/reducer:bucketed/hook:fp16",
                   "ddp/mlp/cards:2/reducer:diloco"}));
  std::map<std::string, bool> lossy;
  for (const Case& one : cases_of(sweep, 4)) lossy[one.name()] = one.ddp.lossy();
  EXPECT_EQ(lossy, (std::map<std::string, bool>{
                       {"single/mlp/cards:1", false},
                       {"ddp/mlp/cards:2/reducer:flat", false},
                       {"ddp/mlp/cards:2/reducer:bucketed/hook:allreduce", false},
                       {"ddp/mlp/cards:2/reducer:bucketed/hook:fp16", true},
                       {"ddp/mlp/cards:2/reducer:diloco", true}}));
}

TEST(Knobs, WhatWouldDoNothingIsRefused) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp"};
  sweep.gpus = {2};
  EXPECT_EQ(refusal(sweep), "");
  Sweep one = sweep;
  one.local_sgd = 5;
  EXPECT_EQ(refusal(one),
            "--local-sgd 5: of --reducer local-sgd or diloco; name one of them");
  one.reducers = {"diloco"};
  EXPECT_EQ(refusal(one), "");
  one.local_sgd = 0;
  EXPECT_EQ(refusal(one),
            "--reducer local-sgd and diloco meet every --local-sgd steps; give it, as "
            "--local-sgd 50");
  one = sweep;
  one.reducers = {"flat"};
  one.comm_hooks = {"fp16"};
  EXPECT_EQ(refusal(one),
            "--comm-hook is of --reducer bucketed; name it, or leave the hook out");
  one.comm_hooks = {"allreduce"};
  one.overlap = {"no"};
  EXPECT_EQ(refusal(one),
            "--overlap is of --reducer bucketed; name it, or leave the option out");
  one.overlap = {"maybe"};
  EXPECT_NE(refusal(one).find("maybe"), std::string::npos) << refusal(one);
  one = sweep;
  one.powersgd_rank = 2;
  EXPECT_EQ(refusal(one),
            "--powersgd-rank 2: of --comm-hook powersgd; name it, or leave the option "
            "out");
  one.comm_hooks = {"allreduce", "powersgd"};
  EXPECT_EQ(refusal(one), "");
  one = sweep;
  one.ranks_per_host = 2;
  EXPECT_EQ(refusal(one),
            "--ranks-per-host: without --link all ranks are on this host; give one");
}

TEST(Knobs, ValuesThatDifferHaveNamesThatDiffer) {
  EXPECT_EQ(text_of(25), "25");
  EXPECT_EQ(text_of(0.1), "0.1");
  EXPECT_EQ(text_of(0.0001), "0.0001");
  EXPECT_EQ(std::stod(text_of(1.0 / 3)), 1.0 / 3);
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp"};
  sweep.gpus = {2};
  sweep.bucket_caps_mb = {5, 5.0000001};
  EXPECT_EQ(names_of(sweep), (Names{"single/mlp/cards:1", "ddp/mlp/cards:2/cap:5",
                                    "ddp/mlp/cards:2/cap:5.0000001"}));
}

TEST(Knobs, KnobsOfDdpMultiplyDdpAlone) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.gpus = {1, 2};
  sweep.reducers = {"naive", "flat", "bucketed"};
  sweep.backends = {"gloo", "shm"};
  sweep.bucket_caps_mb = {0, 1, 5, 25};
  std::map<std::string, int> count;
  for (const Case& one : cases_of(sweep, 2)) ++count[one.mode];
  // naive and flat once a backend, bucketed once a cap and backend; of both cards. A
  // backend is Horovod's as well.
  EXPECT_EQ(count, (std::map<std::string, int>{
                       {"single", 1}, {"dp", 2}, {"ddp", 24}, {"horovod", 4}}));
}

TEST(Knobs, EveryBatchHasItsOwnSingleCard) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp"};
  sweep.gpus = {1, 2};
  sweep.batch_sizes = {32, 64};
  sweep.scalings = {"strong"};
  std::map<std::string, int64_t> local;
  for (const Case& one : cases_of(sweep, 2)) local[one.name()] = one.local_batch;
  EXPECT_EQ(local, (std::map<std::string, int64_t>{{"single/mlp/cards:1/batch:32", 64},
                                                   {"ddp/mlp/cards:1/batch:32", 64},
                                                   {"ddp/mlp/cards:2/batch:32", 32},
                                                   {"single/mlp/cards:1/batch:64", 128},
                                                   {"ddp/mlp/cards:1/batch:64", 128},
                                                   {"ddp/mlp/cards:2/batch:64", 64}}));
}

TEST(Knobs, PeersHaveTheCapsAndShardingTheBuckets) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp"};
  sweep.gpus = {2};
  sweep.peers = {"c10d"};
  sweep.shard_optimizer = true;
  sweep.reducers = {"flat", "bucketed"};
  sweep.backends = {"auto", "shm"};
  sweep.bucket_caps_mb = {5, 25};
  Names peers, sharded;
  for (const Case& one : cases_of(sweep, 2)) {
    if (one.mode == "ddp-c10d") {
      peers.push_back(one.name());
      EXPECT_EQ(one.ddp.reducer + " " + one.ddp.backend, "c10d gloo");
    }
    if (one.mode == "ddp-sharded") sharded.push_back(one.ddp.reducer);
  }
  EXPECT_EQ(peers,
            (Names{"ddp-c10d/mlp/cards:2/cap:5", "ddp-c10d/mlp/cards:2/cap:25"}));
  EXPECT_EQ(sharded, Names(4, "bucketed"));
  sweep.reducers = {"flat"};
  sweep.peers = {};
  sweep.bucket_caps_mb = {25};
  EXPECT_EQ(refusal(sweep),
            "--shard-optimizer: not with --reducer flat; try --reducer bucketed");
}

TEST(Knobs, ThePeerIsOverTheSameLinks) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp"};
  sweep.gpus = {2};
  sweep.peers = {"c10d"};
  sweep.links = {"", "1gbit"};
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "ddp/mlp/cards:2",
                   "ddp/mlp/cards:2/link:1gbit", "ddp-c10d/mlp/cards:2",
                   "ddp-c10d/mlp/cards:2/link:1gbit", "bound/mlp/cards:2"}));
}

TEST(Knobs, KnobsThatWouldDoNothingAreRefused) {
  Sweep sweep;
  sweep.modes = {"dp"};
  sweep.gpus = {2};
  sweep.backends = {"gloo"};
  EXPECT_EQ(refusal(sweep), "--backend is DDP's and Horovod's; try --mode ddp,horovod");
  sweep.modes = {"ddp"};
  EXPECT_EQ(refusal(sweep), "");
  sweep.reducers = {"flat"};
  sweep.bucket_caps_mb = {1, 5};
  EXPECT_EQ(refusal(sweep),
            "--bucket-cap-mb: --reducer flat has no buckets to sweep; try --reducer "
            "bucketed");
  sweep.peers = {"c10d"};
  EXPECT_EQ(refusal(sweep), "") << "the peer has";
  sweep.bucket_caps_mb = {1, std::nan("")};
  EXPECT_EQ(refusal(sweep), "--bucket-cap-mb nan: must be a number of 0 or more");
  sweep.bucket_caps_mb = {-1};
  EXPECT_EQ(refusal(sweep), "--bucket-cap-mb -1: must be a number of 0 or more");
  sweep.bucket_caps_mb = {5, 2e6};
  EXPECT_EQ(refusal(sweep), "--bucket-cap-mb 2e+06: must be at most 1000000");
  sweep.bucket_caps_mb = {1};
  sweep.batch_sizes = {32, 0};
  EXPECT_EQ(refusal(sweep), "--batch-size 0: must be 1 or more");
}

TEST(Experiments, AreSweepsMadeReady) {
  Sweep scaling = sweep_of(kScaling, 4);
  scaling.models = {"mlp"};
  Names strong;
  for (const std::string& name : names_of(scaling)) {
    if (name.find("/scaling:strong") != std::string::npos) strong.push_back(name);
  }
  EXPECT_EQ(
      strong,
      (Names{"single/mlp/cards:1/scaling:strong", "ddp/mlp/cards:1/scaling:strong",
             "ddp/mlp/cards:2/scaling:strong", "ddp/mlp/cards:4/scaling:strong"}));
  EXPECT_EQ(names_of(scaling).size(), 8U);
  Sweep caps = sweep_of(kBucketSweep, 4);
  caps.models = {"mlp"};
  EXPECT_EQ(names_of(caps).size(), 8U) << "a single card, and seven caps";
  EXPECT_EQ(names_of(caps).back(), "ddp/mlp/cards:4/cap:50");
  EXPECT_FALSE(is_experiment("--scaling"));
}

}  // namespace
}  // namespace lockstep::cases
