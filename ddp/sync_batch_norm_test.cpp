// Batch norm over all ranks' images against one card on the whole batch: in fp64 with
// LibTorch's own layer, whatever each rank's part of the batch is, and with buckets on
// their way beside it.
#include "model/sync_batch_norm.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/types.h>

#include "ddp/reducers.h"
#include "model/batch_norm.h"
#include "tests/norm_nets.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

namespace nn = torch::nn;
using model::BatchNorm;
using Sizes = std::vector<int64_t>;

double apart(const at::Tensor& found, const at::Tensor& wanted) {
  if (wanted.numel() == 0) return found.numel() == 0 ? 0 : 1;
  const double norm = wanted.to(at::kDouble).norm().item<double>();
  return (found.to(at::kDouble) - wanted.to(at::kDouble)).norm().item<double>() /
         std::max(norm, 1e-12);
}

// What a step leaves, to be compared.
struct Step {
  double loss;
  at::Tensor images_gradient;  // of the whole batch
  std::vector<at::Tensor> state;
};
std::vector<at::Tensor> state_of(const Network& network) {
  std::vector<at::Tensor> state;
  for (const at::Tensor& one : network->parameters()) {
    state.push_back(one.detach().clone());
  }
  for (const at::Tensor& one : network->buffers()) state.push_back(one.clone());
  return state;
}

using Make = Network (*)();

constexpr int kSteps = 10;

std::vector<Step> on_one_card(Network network, int64_t size, bool last) {
  torch::optim::SGD sgd(network->parameters(),
                        torch::optim::SGDOptions(0.05).momentum(0.9));
  std::vector<Step> steps;
  for (int step = 0; step < kSteps; ++step) {
    const Batch batch = batch_of(step, size, last);
    sgd.zero_grad();
    const at::Tensor images = batch.images.requires_grad_();
    const at::Tensor loss =
        nn::functional::cross_entropy(network->forward(images), batch.labels);
    loss.backward();
    sgd.step();
    steps.push_back({loss.item<double>(), images.grad(), state_of(network)});
  }
  return steps;
}

// Each rank's samples: `parts` of the batch, one after the other.
void expect_same_on_ranks(Make make, const Sizes& parts, bool last,
                          const std::string& backend) {
  const auto ranks = static_cast<int>(parts.size());
  const int64_t size = std::accumulate(parts.begin(), parts.end(), int64_t{0});
  Network start = make();
  start->to(at::kDouble);
  Network one = make();
  one->to(at::kDouble);
  take(one, start);
  const std::vector<Step> wanted = on_one_card(one, size, last);
  run_thread_ranks(
      ranks,
      [&](const ThreadRank& at) {
        Network network = make();
        network->to(at::kDouble);
        take(network, start);
        model::sync_batch_norms(*network, [&](const at::Tensor& sums) {
          at.group.all_reduce(sums).wait();
        });
        const auto reducer = make_bucketed_reducer(
            model::named_trained_parameters(network), at.group, caps(200, 1000));
        at.recording.hesitate(std::chrono::microseconds(100));
        torch::optim::SGD sgd(network->parameters(),
                              torch::optim::SGDOptions(0.05).momentum(0.9));
        const int64_t first =
            std::accumulate(parts.begin(), parts.begin() + at.rank, int64_t{0});
        const auto mine = [&](const at::Tensor& whole) {
          return whole.narrow(0, first, parts[static_cast<size_t>(at.rank)]);
        };
        for (int step = 0; step < kSteps; ++step) {
          const Batch batch = batch_of(step, size, last);
          const at::Tensor images = mine(batch.images).detach().requires_grad_();
          reducer->zero_grad();
          const at::Tensor logits = network->forward(images);
          reducer->prepare(logits);
          // Its part of the whole batch's mean, for the mean over ranks.
          const at::Tensor loss =
              nn::functional::cross_entropy(
                  logits, mine(batch.labels),
                  nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum)) *
              (static_cast<double>(ranks) / static_cast<double>(size));
          loss.backward();
          reducer->finalize();
          sgd.step();
          at::Tensor mean = loss.detach().clone();
          at.group.all_reduce_mean(mean).wait();
          const Step& right = wanted[static_cast<size_t>(step)];
          ASSERT_NEAR(mean.item<double>(), right.loss, 1e-10 * right.loss);
          ASSERT_LE(apart(images.grad() / ranks, mine(right.images_gradient)), 1e-10);
          const std::vector<at::Tensor> state = state_of(network);
          for (size_t i = 0; i < state.size(); ++i) {
            ASSERT_LE(apart(state[i], right.state[i]), 1e-10) << i << ", step " << step;
            at::Tensor first_ranks = state[i].clone();
            at.group.broadcast({first_ranks});
            ASSERT_TRUE(state[i].equal(first_ranks)) << i << ", step " << step;
          }
        }
      },
      backend);
}

// Over gloo a message takes a while, so fewer of them.
TEST(SyncBatchNorm, EqualsOneCardWhateverARanksPartOfTheBatch) {
  torch::manual_seed(3);
  const auto expect_same = [](const Sizes& parts, Make make, bool last,
                              const std::string& backend) {
    SCOPED_TRACE(backend + ", " + std::to_string(parts.size()) + " ranks" +
                 (make == &resnet ? ", resnet" : "") + (last ? ", channels last" : ""));
    expect_same_on_ranks(make, parts, last, backend);
  };
  expect_same({6}, &resnet, false, "shm");
  expect_same({1, 8}, &convnet, true, "shm");
  expect_same({1, 8}, &resnet, false, "gloo");
  expect_same({4, 4, 4}, &resnet, true, "shm");
  expect_same({5, 0, 3}, &convnet, true, "gloo");
  expect_same({5, 0, 3}, &resnet, false, "shm");
  expect_same({1, 7, 2, 4}, &convnet, false, "shm");
  expect_same({1, 7, 2, 4}, &resnet, true, "shm");
}

// One layer in fp32 against LibTorch's in fp64: by our kernels and without, far from 0
// as well, in the first step and when the running mean is near.
TEST(SyncBatchNorm, IsLibTorchsInFp32) {
  torch::manual_seed(4);
  const Sizes parts = {3, 0, 1, 9};
  for (const int64_t channels : {16, 10}) {
    for (const double far : {1.0, 1000.0}) {
      const double bound = far > 1 ? 1e-4 : 2e-6;
      const at::Tensor whole = torch::randn({13, channels, 5, 4}) * 3 + far;
      const at::Tensor gradient = torch::randn(whole.sizes());
      nn::BatchNorm2d theirs(nn::BatchNormOptions{channels});
      theirs->to(at::kDouble);
      at::Tensor wide, expected;
      for (int i = 0; i < 2; ++i) {
        theirs->zero_grad();
        wide = whole.to(at::kDouble).requires_grad_();
        expected = theirs->forward(wide);
        expected.backward(gradient.to(at::kDouble));
      }
      run_thread_ranks(4, [&](const ThreadRank& at) {
        const int64_t first =
            std::accumulate(parts.begin(), parts.begin() + at.rank, int64_t{0});
        const auto mine = [&](const at::Tensor& all) {
          return all.narrow(0, first, parts[static_cast<size_t>(at.rank)]);
        };
        BatchNorm norm(channels);
        norm->sync([&](const at::Tensor& sums) { at.group.all_reduce(sums).wait(); });
        at::Tensor x, y;
        for (int i = 0; i < 2; ++i) {
          norm->zero_grad();
          x = mine(whole).contiguous(kChannelsLast).detach().requires_grad_();
          y = norm->forward(x);
          y.backward(mine(gradient));
        }
        EXPECT_LE(apart(y, mine(expected)), bound);
        EXPECT_LE(apart(x.grad(), mine(wide.grad())), bound);
        EXPECT_LE(apart(norm->running_mean, theirs->running_mean), 2e-6);
        EXPECT_LE(apart(norm->running_var, theirs->running_var), bound);
        const at::Tensor of_all = norm->weight.grad().clone();
        at.group.all_reduce(of_all).wait();
        EXPECT_LE(apart(of_all, theirs->weight.grad()), bound);
        EXPECT_EQ(norm->num_batches_tracked.item<int64_t>(), 2);
      });
    }
  }
}

// Counts and sums of a channel in one message forward, two sums in one message back.
TEST(SyncBatchNorm, SendsOneMessageAPass) {
  torch::manual_seed(5);
  Network start = resnet();
  std::vector<Sizes> passes[3];
  for (auto& rank : passes) rank.resize(2);
  run_thread_ranks(3, [&](const ThreadRank& at) {
    Network network = resnet();
    take(network, start);
    const int64_t layers = model::sync_batch_norms(
        *network, [&](const at::Tensor& one) { at.group.all_reduce(one).wait(); });
    EXPECT_EQ(layers, 7);
    const at::Tensor images = torch::randn({2 + at.rank, 3, kPixels, kPixels});
    const at::Tensor logits = network->forward(images);
    EXPECT_EQ(at.recording.take_all_reduced(), (Sizes{13, 33, 33, 33, 15, 15, 15}));
    logits.sum().backward();
    Sizes back = at.recording.take_all_reduced();
    std::sort(back.begin(), back.end());
    EXPECT_EQ(back, (Sizes{12, 14, 14, 14, 32, 32, 32}));
    // With buckets between them, in the same order on all ranks.
    const auto reducer = make_bucketed_reducer(model::named_trained_parameters(network),
                                               at.group, caps(100, 400));
    for (Sizes& sent : passes[at.rank]) {
      reducer->zero_grad();
      const at::Tensor output = network->forward(images);
      reducer->prepare(output);
      output.pow(2).sum().backward();
      reducer->finalize();
      sent = at.recording.take_all_reduced();
    }
    network->eval();
    network->forward(images);
    EXPECT_EQ(at.recording.take_all_reduced(), Sizes{});
  });
  for (size_t pass = 0; pass < 2; ++pass) {
    EXPECT_GT(passes[0][pass].size(), 14U + 5U);
    EXPECT_NE(passes[0][pass].back(),
              12);  // a bucket: the first layer's comes after it
    EXPECT_EQ(passes[1][pass], passes[0][pass]);
    EXPECT_EQ(passes[2][pass], passes[0][pass]);
  }
}

// An input that wants no gradient needs no sums.
TEST(SyncBatchNorm, SendsNothingBackForTheDataSet) {
  run_thread_ranks(2, [&](const ThreadRank& at) {
    BatchNorm norm(3);
    norm->sync([&](const at::Tensor& sums) { at.group.all_reduce(sums).wait(); });
    const at::Tensor y = norm->forward(torch::randn({2, 3, 2, 2}));
    at.recording.take_all_reduced();
    y.sum().backward();
    EXPECT_EQ(at.recording.take_all_reduced(), Sizes{});
    EXPECT_TRUE(norm->weight.grad().defined());
  });
}

// Where nobody has an image nothing moves; one value in all has no variance.
TEST(SyncBatchNorm, OfNothingAndOfOneValue) {
  run_thread_ranks(2, [&](const ThreadRank& at) {
    BatchNorm norm(3);
    norm->sync([&](const at::Tensor& sums) { at.group.all_reduce(sums).wait(); });
    const at::Tensor none = torch::empty({0, 3, 2, 2}).requires_grad_();
    norm->forward(none).sum().backward();
    EXPECT_EQ(none.grad().sizes(), none.sizes());
    EXPECT_TRUE(norm->running_mean.equal(torch::zeros({3})));
    EXPECT_TRUE(norm->running_var.equal(torch::ones({3})));
    EXPECT_TRUE(norm->weight.grad().equal(torch::zeros({3})));
    EXPECT_THROW(norm->forward(torch::ones({at.rank, 3, 1, 1})), c10::Error);
    EXPECT_NO_THROW(norm->forward(torch::ones({1, 3, 1, 1})));
    EXPECT_THROW(norm->forward(torch::ones({2, 4, 2, 2})), c10::Error);
    EXPECT_THROW(norm->forward(torch::ones({2, 3, 2})), c10::Error);
  });
}

TEST(SyncBatchNorm, IsRefusedWhereRanksGraphsMayDiffer) {
  TrainOptions options;
  options.ddp.sync_batch_norm = true;
  check_reducer(options);
  options.ddp.find_unused_parameters = true;
  EXPECT_THROW(check_reducer(options), std::invalid_argument);
}

}  // namespace
}  // namespace lockstep::ddp
