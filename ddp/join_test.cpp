// Uneven inputs, over several bucket sizes and with batch norm: every step's gradients,
// on ranks that train and on those that shadow, against one thread that computes them
// from the batches that there are.
#include "ddp/join.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <numeric>

#include "tests/random_net.h"
#include "tests/thread_ranks.h"
#include "tests/uneven_net.h"

namespace lockstep::ddp {
namespace {

void assign(const Tensors& to, const Tensors& from) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
}
Tensors copies(const Tensors& tensors) {
  Tensors all;
  for (const at::Tensor& one : tensors) {
    all.push_back(one.defined() ? one.detach().clone() : at::Tensor());
  }
  return all;
}
Tensors gradients_of(const Net& net) {
  Tensors all;
  for (const at::Tensor& one : net.parameters()) all.push_back(one.grad());
  return copies(all);
}

torch::optim::SGD sgd_of(const Net& net) {
  return torch::optim::SGD(net.parameters(),
                           torch::optim::SGDOptions(0.1).momentum(0.9));
}

// What every pass leaves on every rank: gradients; and in the end all there is.
struct Wanted {
  std::vector<Tensors> gradients;
  std::vector<Tensors> buffers_of_epochs;
  Tensors parameters;
};

// The ranks one after the other, buffers of each kept apart.
Wanted by_hand(const Case& of, Net& net) {
  Wanted wanted;
  auto sgd = sgd_of(net);
  std::vector<Tensors> buffers(static_cast<size_t>(of.ranks()), copies(net.buffers()));
  int before = 0;
  for (const Counts& counts : of.epochs) {
    const int passes = *std::max_element(counts.begin(), counts.end());
    size_t leader = 0;
    for (int pass = 0; pass < passes; ++pass) {
      std::vector<Place> live;
      for (int rank = 0; rank < of.ranks(); ++rank) {
        if (counts[static_cast<size_t>(rank)] > pass)
          live.push_back({rank, before + pass});
      }
      leader = static_cast<size_t>(live.front().rank);
      std::fill(buffers.begin(), buffers.end(), buffers[leader]);
      sgd.zero_grad();
      const auto divisor = of.by_initial ? of.ranks() : static_cast<int>(live.size());
      if (of.kind == Kind::kSyncNorm) {
        Tensors images;
        for (const Place& at : live) images.push_back(batch_of(at));
        assign(net.buffers(), buffers[leader]);
        const at::Tensor output = net.forward(at::cat(images), live.front());
        at::Tensor sum = at::zeros({}, at::kDouble);
        for (int64_t i = 0, first = 0; i < std::ssize(images); ++i) {
          const int64_t size = images[static_cast<size_t>(i)].size(0);
          sum = sum + loss_of(output.narrow(0, first, size));
          first += size;
        }
        (sum / divisor).backward();
        std::fill(buffers.begin(), buffers.end(), copies(net.buffers()));
      } else {
        for (const Place& at : live) {
          const auto rank = static_cast<size_t>(at.rank);
          assign(net.buffers(), buffers[rank]);
          (loss_of(net.forward(batch_of(at), at)) / divisor).backward();
          buffers[rank] = copies(net.buffers());
        }
      }
      wanted.gradients.push_back(gradients_of(net));
      sgd.step();
    }
    std::fill(buffers.begin(), buffers.end(), buffers[leader]);
    wanted.buffers_of_epochs.push_back(buffers[leader]);
    before += passes;
  }
  wanted.parameters = copies(net.parameters());
  return wanted;
}

void expect_equal(const Tensors& found, const Tensors& wanted,
                  const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size()) << what;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].defined(), wanted[i].defined()) << what << " " << i;
    if (!found[i].defined()) continue;
    const double scale =
        std::max(1e-3, wanted[i].to(at::kDouble).norm().item<double>());
    const double error =
        (found[i].to(at::kDouble) - wanted[i].to(at::kDouble)).norm().item<double>();
    ASSERT_LE(error, 1e-10 * scale) << what << " " << i;
  }
}

TrainOptions reducer_options(const Case& of) {
  TrainOptions options = caps(of.cap_bytes, of.cap_bytes);
  options.ddp.find_unused_parameters = of.kind == Kind::kUnused;
  return options;
}

void on_rank(const Case& of, const Net& start, const Wanted& wanted,
             const ThreadRank& at) {
  Net net(of);
  assign(net.parameters(), start.parameters());
  assign(net.buffers(), start.buffers());
  BucketedReducer reducer(named(net.parameters()), at.group, reducer_options(of));
  JoinOptions options;
  options.divide_by_initial_world_size = of.by_initial;
  if (of.kind == Kind::kNorm) options.buffers = net.buffers();
  if (of.kind == Kind::kSyncNorm) {
    model::sync_batch_norms(
        *net.trunk, [&](const at::Tensor& sums) { at.group.all_reduce(sums).wait(); });
    options.forward_of_nothing = [&] {
      return net.forward(at::empty({0, 2, 4, 4}, at::kDouble), {at.rank, 0});
    };
  }
  Join join(reducer, at.group, options);
  auto sgd = sgd_of(net);
  at.recording.hesitate(std::chrono::microseconds(200));
  int pass = 0;
  const auto end_pass = [&] {
    expect_equal(gradients_of(net), wanted.gradients.at(static_cast<size_t>(pass)),
                 "rank " + std::to_string(at.rank) + ", pass " + std::to_string(pass) +
                     ", gradient");
    sgd.step();
    ++pass;
  };
  for (size_t epoch = 0; epoch < of.epochs.size(); ++epoch) {
    for (int i = 0; i < of.epochs[epoch][static_cast<size_t>(at.rank)]; ++i) {
      join.batch_begins();
      reducer.zero_grad();
      const at::Tensor output = net.forward(batch_of({at.rank, pass}), {at.rank, pass});
      reducer.prepare(output);
      loss_of(output).backward();
      reducer.finalize();
      end_pass();
    }
    while (join.shadow()) end_pass();
    expect_equal(copies(net.buffers()), wanted.buffers_of_epochs[epoch], "buffer");
  }
  EXPECT_EQ(pass, static_cast<int>(wanted.gradients.size()));
  expect_equal(copies(net.parameters()), wanted.parameters, "parameter");
  Tensors all = net.parameters();
  for (const at::Tensor& one : net.buffers()) all.push_back(one);
  const Tensors mine = copies(all);
  at.group.broadcast(all);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(all[i].equal(mine[i])) << i;
}

void run(const Case& of) {
  torch::manual_seed(6);
  const Net start(of);
  Net oracle(of);
  assign(oracle.parameters(), start.parameters());
  assign(oracle.buffers(), start.buffers());
  const Wanted wanted = by_hand(of, oracle);
  run_thread_ranks(
      of.ranks(), [&](const ThreadRank& at) { on_rank(of, start, wanted, at); },
      of.backend);
}

// Some end first, some have nothing, and who led may be the first to be through.
const std::vector<std::vector<Counts>> kCounts = {
    {{3, 1}},
    {{0, 2}, {3, 1}},
    {{2, 0, 4}, {1, 3, 0}},
    {{1, 3, 0, 2}, {0, 0, 2, 0}, {2, 2, 2, 2}},
    {{0, 0}, {1, 0}, {0, 0}},
};

class UnevenInputs : public testing::TestWithParam<Kind> {};

TEST_P(UnevenInputs, GiveTheMeanOverTheBatchesThatThereAre) {
  // One parameter a bucket, a few, all in one.
  const std::vector<int64_t> cap_bytes = {0, 300, 1 << 20};
  size_t turn = 0;
  for (const std::vector<Counts>& epochs : kCounts) {
    for (const int64_t cap : cap_bytes) {
      ++turn;
      const bool by_initial = turn % 2 == 0;
      const bool over_gloo = turn % 5 == 3;  // messages take a while
      SCOPED_TRACE("cap " + std::to_string(cap) + ", ranks " +
                   std::to_string(epochs.front().size()) +
                   (by_initial ? ", by the initial size" : ", by the live size") +
                   (over_gloo ? ", gloo" : ""));
      run({GetParam(), epochs, cap, by_initial, over_gloo ? "gloo" : "shm"});
    }
  }
}

std::string name_of(const testing::TestParamInfo<Kind>& info) {
  switch (info.param) {
    case Kind::kPlain:
      return "Plain";
    case Kind::kUnused:
      return "UnusedParameters";
    case Kind::kNorm:
      return "BatchNorm";
    case Kind::kSyncNorm:
      break;
  }
  return "SyncBatchNorm";
}

INSTANTIATE_TEST_SUITE_P(Nets, UnevenInputs,
                         testing::Values(Kind::kPlain, Kind::kUnused, Kind::kNorm,
                                         Kind::kSyncNorm),
                         name_of);

TEST(Join, RefusesWhatAShadowCannotTakePartIn) {
  run_thread_ranks(1, [&](const ThreadRank& at) {
    const at::Tensor parameter = at::ones({3}).requires_grad_();
    const auto joined = [&](const auto& change) {
      TrainOptions options;
      change(options);
      BucketedReducer reducer(named({parameter}), at.group, options);
      const Join join(reducer, at.group, {});
    };
    EXPECT_NO_THROW(joined([](TrainOptions&) {}));
    EXPECT_THROW(joined([](TrainOptions& o) { o.accumulate = 2; }), c10::Error);
    EXPECT_THROW(joined([](TrainOptions& o) { o.ddp.static_graph = true; }),
                 c10::Error);
    BucketedReducer reducer(named({parameter}), at.group, {});
    Join join(reducer, at.group, {});
    const auto local = reducer.no_sync();
    EXPECT_THROW(join.batch_begins(), c10::Error);
  });
}

}  // namespace
}  // namespace lockstep::ddp
