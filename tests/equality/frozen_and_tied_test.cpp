// A layer that must not be trained and a layer that stands in the net twice: every way
// of training treats them as a plain LibTorch loop does, which is written out here as
// the oracle. Ranks are threads. All start with the oracle's parameters but for rank
// 0's word: the others draw their own.
#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <exception>
#include <thread>

#include "data_parallel/train.h"
#include "ddp/train.h"
#include "launch/listener.h"
#include "single_gpu/train.h"
#include "training/catalog.h"
#include "training/observer.h"

namespace lockstep {
namespace {

namespace nn = torch::nn;

using Tensors = std::vector<at::Tensor>;

constexpr int64_t kSteps = 5;
constexpr int64_t kGlobalBatch = 24;

thread_local int this_rank = 0;

Network frozen_and_tied() {
  torch::manual_seed(static_cast<uint64_t>(this_rank));
  nn::Linear frozen(784, 16);
  nn::Linear tied(16, 16);
  for (at::Tensor& parameter : frozen->parameters()) parameter.requires_grad_(false);
  return Network(nn::Flatten(), frozen, nn::Tanh(), tied, nn::Tanh(), tied, nn::Tanh(),
                 nn::Linear(16, 10));
}

TrainOptions options() {
  TrainOptions options;
  options.model = "frozen-and-tied";
  options.dataset = "synthetic";
  options.precision = "fp64";
  options.steps = kSteps;
  options.batch_size = kGlobalBatch;
  options.lr = 0.5;
  options.momentum = 0.9;
  options.device = "cpu";
  options.threads_per_card = 1;
  return options;
}

Tensors copies(const nn::Module& model) {
  Tensors all;
  for (const at::Tensor& parameter : model.parameters())
    all.push_back(parameter.clone());
  return all;
}

// The trained parameters; shared by the loop and the test.
class Keep final : public training::StepObserver {
 public:
  Tensors parameters;
  void finished(const nn::Module& model) override {
    parameters = copies(model);
    EXPECT_FALSE(model.parameters().front().grad().defined())
        << "frozen, yet a gradient";
  }
};

Tensors oracle() {
  Network model = frozen_and_tied();
  model->to(at::kDouble);
  // Layers 1, 3 and 7, each once.
  Tensors trained = model[3]->parameters();
  for (const at::Tensor& parameter : model[7]->parameters())
    trained.push_back(parameter);
  torch::optim::SGD sgd(trained, torch::optim::SGDOptions(0.5).momentum(0.9));
  const auto dataset = training::load_dataset(options());
  const auto sampler =
      training::make_sampler("random", dataset.train.size(), options(), {});
  const auto loader = training::make_loader(dataset, *sampler, options(), kGlobalBatch);
  int64_t step = 0;
  for (const auto& batch : loader) {
    sgd.zero_grad();
    nn::functional::cross_entropy(model->forward(batch.images), batch.labels)
        .backward();
    sgd.step();
    if (++step == kSteps) break;
  }
  return copies(*model);
}

void expect_oracles(const Tensors& parameters, const std::string& what) {
  static const Tensors wanted = oracle();
  ASSERT_EQ(parameters.size(), wanted.size()) << what;
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_LE((parameters[i] - wanted[i]).norm().item<double>(),
              1e-10 * wanted[i].norm().item<double>())
        << what << ", parameter " << i;
  }
}

class FrozenAndTied : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    training::models().add("frozen-and-tied",
                           [](const auto& /*inputs*/) { return frozen_and_tied(); });
  }
};

TEST_F(FrozenAndTied, FrozenStaysAsItWasDrawn) {
  Network drawn = frozen_and_tied();
  drawn->to(at::kDouble);
  EXPECT_TRUE(at::equal(oracle().front(), drawn->parameters().front()));
  EXPECT_FALSE(at::equal(oracle().back(), drawn->parameters().back()));
}

TEST_F(FrozenAndTied, OnOneCard) {
  TrainOptions one = options();
  const auto keep = std::make_shared<Keep>();
  one.observers = {keep};
  single_gpu::train(one, {});
  expect_oracles(keep->parameters, "single_gpu");
}

TEST_F(FrozenAndTied, OnOneCardThatAccumulates) {
  TrainOptions in_turn = options();
  const auto keep = std::make_shared<Keep>();
  in_turn.observers = {keep};
  in_turn.batch_size = kGlobalBatch / 2;
  in_turn.accumulate = 2;
  single_gpu::train(in_turn, {});
  expect_oracles(keep->parameters, "single_gpu --accumulate 2");
}

TEST_F(FrozenAndTied, OnThreeCardsOfDataParallel) {
  TrainOptions three = options();
  const auto keep = std::make_shared<Keep>();
  three.observers = {keep};
  three.gpus = 3;
  three.batch_size = kGlobalBatch / 3;
  data_parallel::train(three, {});
  expect_oracles(keep->parameters, "data_parallel");
}

void run_ddp(const std::string& reducer, double bucket_cap_mb) {
  constexpr int kRanks = 3;
  launch::Listener listener;
  std::vector<std::shared_ptr<Keep>> keeps(kRanks);
  std::vector<std::exception_ptr> errors(kRanks);
  std::vector<std::thread> threads;
  const int store_fd = listener.release();
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      this_rank = rank;
      World world;
      world.rank = world.local_rank = rank;
      world.world_size = world.local_world_size = kRanks;
      world.master_port = listener.port();
      if (rank == 0) world.store_fd = store_fd;
      TrainOptions mine = options();
      mine.gpus = kRanks;
      mine.batch_size = kGlobalBatch / kRanks;
      mine.ddp.reducer = reducer;
      mine.ddp.bucket_cap_mb = bucket_cap_mb;
      mine.observers = {keeps[rank] = std::make_shared<Keep>()};
      try {
        ddp::train(mine, world);
      } catch (...) {
        errors[rank] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  for (int rank = 0; rank < kRanks; ++rank) {
    expect_oracles(keeps[rank]->parameters,
                   reducer + " on rank " + std::to_string(rank));
    // Drawn from seeds of their own, and equal to the bit.
    for (size_t i = 0; i < keeps[rank]->parameters.size(); ++i) {
      EXPECT_TRUE(at::equal(keeps[rank]->parameters[i], keeps[0]->parameters[i])) << i;
    }
  }
}

TEST_F(FrozenAndTied, OnThreeRanksOfTheNaiveReducer) { run_ddp("naive", 25); }
TEST_F(FrozenAndTied, OnThreeRanksOfTheFlatReducer) { run_ddp("flat", 25); }
TEST_F(FrozenAndTied, OnThreeRanksOfTheBucketedReducer) { run_ddp("bucketed", 25); }
TEST_F(FrozenAndTied, OnThreeRanksOfC10dsReducer) { run_ddp("c10d", 25); }
TEST_F(FrozenAndTied, OnThreeRanksWithABucketForEachParameter) {
  run_ddp("bucketed", 0);
}

}  // namespace
}  // namespace lockstep
