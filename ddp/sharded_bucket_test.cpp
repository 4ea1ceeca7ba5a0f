// --shard-optimizer trains as plain DDP and LibTorch's SGD do: two equal nets take the
// same steps, one each way. Ranks are threads, over gloo (by messages) and over shm (in
// one pass over shared memory).
#include <gtest/gtest.h>
#include <torch/optim/sgd.h>

#include <numeric>

#include "ddp/bucket.h"
#include "device/memory_ledger.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int kSteps = 4;
constexpr int64_t kPieceBytes = 32 << 10;  // of shm
constexpr size_t kPartTensors = 30;        // of a bucket, in one collective

struct Trial {
  std::string backend;
  int ranks;
  uint64_t seed;
  at::ScalarType type;
  TrainOptions options;
  size_t small;  // parameters of odd sizes beside the random net's
  std::string text() const {
    return backend + ", " + std::to_string(ranks) + " ranks, seed " +
           std::to_string(seed) + ", " + c10::toString(type) + ", cap " +
           std::to_string(options.ddp.bucket_cap_mb) + " MiB, accumulate " +
           std::to_string(options.accumulate) + ", momentum " +
           std::to_string(options.momentum) + ", weight decay " +
           std::to_string(options.weight_decay) + ", " + std::to_string(small) +
           " small";
  }
};

// A random net, many small parameters, and two larger than a piece, one of them
// transposed in memory. What is beside the net is drawn to numbers of each rank's own.
class Net {
 public:
  explicit Net(const Trial& trial) : net_(trial.seed, trial.type) {
    std::vector<std::vector<int64_t>> sizes = {{10007}, {101, 91}};
    for (size_t i = 0; i < trial.small; ++i) {
      sizes.push_back({static_cast<int64_t>(1 + i * 7 % 23)});
    }
    const at::Generator random = at::detail::createCPUGenerator(trial.seed);
    for (const auto& shape : sizes) {
      const at::Tensor drawn = at::randn(shape, random, at::kDouble).to(trial.type);
      beside_.push_back(shape.size() == 2 ? drawn.t() : drawn);
      beside_.back().requires_grad_();
    }
  }

  Tensors parameters() const {
    Tensors all = net_.parameters();
    all.insert(all.begin() + 2, beside_.begin(), beside_.end());
    return all;
  }

  void pass(Reducer& reducer, int pass, int rank) const {
    reducer.zero_grad();
    const at::Tensor output = net_.forward(net_.batch(pass, rank));
    at::Tensor loss = RandomNet::loss(output);
    const at::Generator random =
        at::detail::createCPUGenerator(static_cast<uint64_t>(100 * pass + rank));
    for (const at::Tensor& one : beside_) {
      const at::Tensor goal = at::randn(one.sizes(), random, at::kDouble);
      loss = loss + (one - goal.to(one.scalar_type())).pow(2).sum();
    }
    reducer.prepare(output);
    loss.backward();
    reducer.finalize();
  }

 private:
  RandomNet net_;
  Tensors beside_;
};

ReducerPtr make_sharded(const Tensors& parameters, comm::ProcessGroup& group,
                        TrainOptions options) {
  options.ddp.shard_optimizer = true;
  return reducers().at("bucketed")(named(parameters), group, options);
}

// One rank's training, both ways. Its parameters in the end.
Tensors train(const Trial& trial, comm::ProcessGroup& group) {
  const TrainOptions& options = trial.options;
  const Net net(trial);
  const Net plain_net(trial);
  const Tensors ours = net.parameters();
  const Tensors theirs = plain_net.parameters();
  const auto sharded = make_sharded(ours, group, options);
  const auto plain = reducers().at("bucketed")(named(theirs), group, options);
  torch::optim::SGD sgd(theirs, torch::optim::SGDOptions(options.lr)
                                    .momentum(options.momentum)
                                    .weight_decay(options.weight_decay));
  const double bar = trial.type == at::kDouble ? 1e-12 : 1e-6;
  // A single number may come by zero: rounding is relative to where it was, too.
  std::vector<double> sizes;
  for (const at::Tensor& parameter : theirs) {
    sizes.push_back(parameter.norm().item<double>());
  }
  for (int pass = 0; pass < kSteps * options.accumulate; ++pass) {
    const at::Tensor before = ours[2].detach().clone();
    net.pass(*sharded, pass, group.rank());
    plain_net.pass(*plain, pass, group.rank());
    const bool steps = (pass + 1) % options.accumulate == 0;
    EXPECT_NE(at::equal(ours[2], before), steps) << "in pass " << pass;
    for (size_t p = 0; p < ours.size(); ++p) {
      EXPECT_NE(ours[p].grad().defined(), steps) << "parameter " << p;
    }
    if (!steps) continue;
    const at::NoGradGuard no_grad;
    for (const at::Tensor& parameter : theirs) {
      parameter.grad().div_(static_cast<double>(options.accumulate));
    }
    sgd.step();
    for (size_t p = 0; p < ours.size(); ++p) {
      sizes[p] = std::max(sizes[p], theirs[p].norm().item<double>());
      EXPECT_LE((ours[p] - theirs[p]).norm().item<double>(), bar * sizes[p])
          << "parameter " << p << " in pass " << pass << " on rank " << group.rank();
    }
  }
  Tensors end;
  for (const at::Tensor& parameter : ours) end.push_back(parameter.detach().clone());
  return end;
}

void expect_plain_ddps(const Trial& trial) {
  SCOPED_TRACE(trial.text());
  std::vector<Tensors> trained(static_cast<size_t>(trial.ranks));
  run_card_ranks(trial.ranks, trial.backend, [&](comm::ProcessGroup& group) {
    trained[static_cast<size_t>(group.rank())] = train(trial, group);
  });
  for (const Tensors& rank : trained) {
    for (size_t p = 0; p < rank.size(); ++p) {
      EXPECT_TRUE(at::equal(rank[p], trained[0][p])) << "parameter " << p;
    }
  }
}

class Sharded : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Backends, Sharded, testing::Values("gloo", "shm"),
                         [](const auto& info) { return info.param; });

TEST_P(Sharded, TrainsAsPlainDdpAndSgdDo) {
  std::minstd_rand random(5);
  for (int ranks = 1; ranks <= 5; ++ranks) {
    for (int i = 0; i < 4; ++i) {
      const std::array<int64_t, 4> cap_bytes = {0, 500, 40000, 1 << 20};
      Trial trial{GetParam(),
                  ranks,
                  random(),
                  i % 2 == 0 ? at::kDouble : at::kFloat,
                  caps(static_cast<int64_t>(random() % 500), cap_bytes[i]),
                  5};
      trial.options.lr = 0.05;
      trial.options.momentum = i < 2 ? 0.9 : 0;
      trial.options.weight_decay = random() % 2 == 0 ? 0.02 : 0;
      trial.options.accumulate = static_cast<int64_t>(1 + random() % 3);
      trial.options.ddp.gradient_as_bucket_view = random() % 3 > 0;
      expect_plain_ddps(trial);
    }
  }
}

// A bucket that is one collective, that just is not, that is three.
TEST_P(Sharded, StepsAnyNumberOfParametersOfABucket) {
  for (const size_t parameters : {30, 31, 62}) {
    Trial trial{GetParam(), 3, 1, at::kDouble, caps(1 << 20, 1 << 20), parameters - 8};
    trial.options.momentum = 0.9;
    ASSERT_EQ(Net(trial).parameters().size(), parameters);
    ASSERT_EQ(assign_buckets(Net(trial).parameters(), 1 << 20, 1 << 20).size(), 1U);
    expect_plain_ddps(trial);
  }
}

int64_t state_bytes(int rank) {
  return device::card_bytes(rank)
      .live_by_category[static_cast<size_t>(device::Category::optimizer_state)];
}

// Shares of shared memory are whole pieces, and no piece holds two parameters.
TEST_P(Sharded, HoldsOneCopyOfTheMomentumOverAllRanks) {
  for (const int ranks : {1, 2, 5}) {
    Trial trial{GetParam(), ranks, 3, at::kFloat, caps(1 << 20, 1 << 20), 30};
    trial.options.momentum = 0.9;
    const Tensors all = Net(trial).parameters();
    const auto parts =
        static_cast<int64_t>((all.size() + kPartTensors - 1) / kPartTensors);
    int64_t total = 0;
    for (const at::Tensor& parameter : all) {
      total += static_cast<int64_t>(parameter.nbytes());
    }
    std::vector<int64_t> held(static_cast<size_t>(ranks));
    run_card_ranks(ranks, GetParam(), [&](comm::ProcessGroup& group) {
      const Net net(trial);
      const int64_t before = state_bytes(group.rank());
      const auto reducer = make_sharded(net.parameters(), group, trial.options);
      net.pass(*reducer, 0, group.rank());
      held[static_cast<size_t>(group.rank())] = state_bytes(group.rank()) - before;
    });
    const int64_t spare = GetParam() == "shm"
                              ? static_cast<int64_t>(all.size()) * kPieceBytes / ranks +
                                    parts * kPieceBytes
                              : parts * 4;
    for (const int64_t bytes : held) EXPECT_LE(bytes, total / ranks + spare);
    EXPECT_GE(std::accumulate(held.begin(), held.end(), int64_t{0}), total);
  }
}

TEST_P(Sharded, HoldsNothingWithoutMomentum) {
  const Trial trial{GetParam(), 2, 3, at::kFloat, {}, 3};
  run_card_ranks(2, GetParam(), [&](comm::ProcessGroup& group) {
    const Net net(trial);
    const int64_t before = state_bytes(group.rank());
    const auto reducer = make_sharded(net.parameters(), group, trial.options);
    net.pass(*reducer, 0, group.rank());
    EXPECT_EQ(state_bytes(group.rank()), before);
  });
}

}  // namespace
}  // namespace lockstep::ddp
