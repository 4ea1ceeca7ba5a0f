#include "data_parallel/data_parallel.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <atomic>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "data_parallel/scatter_gather.h"
#include "training/catalog.h"

namespace lockstep::data_parallel {
namespace {

using device::Category;
using device::make_cards;

int64_t live(int card, Category category) {
  return device::card_bytes(card).live_by_category[static_cast<size_t>(category)];
}

TEST(ScatterGatherTest, RoundTripOverAnyCards) {
  std::mt19937 random(0);
  for (int i = 0; i < 200; ++i) {
    const auto cards = make_cards("cpu", static_cast<int>(1 + random() % 8), 1);
    std::vector<int64_t> shape = {static_cast<int64_t>(1 + random() % 40)};
    while (shape.size() < 1 + random() % 4) {
      shape.push_back(static_cast<int64_t>(1 + random() % 5));
    }
    const at::Tensor whole = torch::rand(shape, i % 2 == 0 ? at::kFloat : at::kDouble);
    const auto pieces = scatter(whole, cards, Category::input);
    const auto chunks = whole.chunk(static_cast<int64_t>(cards.size()));
    ASSERT_EQ(pieces.size(), chunks.size()) << "fewer where there are too few rows";
    for (size_t p = 0; p < pieces.size(); ++p) {
      ASSERT_TRUE(pieces[p].equal(chunks[p]));
      ASSERT_EQ(pieces[p].is_alias_of(whole), p == 0) << "cards have their own memory";
      if (p > 0) {
        ASSERT_EQ(live(static_cast<int>(p), Category::input),
                  static_cast<int64_t>(pieces[p].nbytes()));
      }
    }
    const at::Tensor gathered = gather(pieces, cards.front());
    ASSERT_TRUE(gathered.equal(whole));
    ASSERT_EQ(live(0, Category::gathered_outputs),
              static_cast<int64_t>(whole.nbytes()));
  }
}

TEST(ScatterGatherTest, GatheredLogitsHaveNoHistory) {
  const auto cards = make_cards("cpu", 2, 1);
  const at::Tensor leaf = torch::rand({5, 2}, at::requires_grad());
  EXPECT_FALSE(gather({leaf * 2, leaf * 3}, cards.front()).requires_grad());
}

TEST(CardThreadsTest, EachCardWorksInItsScopeOnItsThread) {
  const auto cards = make_cards("cpu", 5, 2);
  CardThreads threads(cards);
  const CardScope scope(cards.front());
  std::vector<std::thread::id> ids(5);
  for (int pass = 0; pass < 3; ++pass) {
    const at::NoGradGuard no_grad;
    std::vector<std::thread::id> now(5);
    threads.run(5, [&](size_t card) {
      now[card] = std::this_thread::get_id();
      EXPECT_EQ(device::current_account().card, static_cast<int>(card));
      EXPECT_EQ(device::current_account().category, Category::activations);
      EXPECT_EQ(at::get_num_threads(), 2);
      EXPECT_FALSE(at::GradMode::is_enabled()) << "the caller's";
    });
    EXPECT_EQ(now[0], std::this_thread::get_id());
    EXPECT_EQ(std::set(now.begin(), now.end()).size(), 5U);
    if (pass > 0) EXPECT_EQ(now, ids) << "the threads stay";
    ids = now;
  }
  EXPECT_EQ(device::current_account().category, Category::other);
}

TEST(CardThreadsTest, AnErrorNamesTheCardOnceTheOthersHaveEnded) {
  CardThreads threads(make_cards("cpu", 4, 1));
  const auto error_of = [&](std::set<size_t> failing, bool torchs) {
    std::atomic<int> ended = 0;
    std::string message = "none";
    try {
      threads.run(4, [&](size_t card) {
        if (failing.count(card) > 0) {
          TORCH_CHECK(!torchs, "no such shape");
          throw std::runtime_error("out of paper");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        ++ended;
      });
    } catch (const c10::Error& error) {
      EXPECT_TRUE(torchs) << "the error's own kind";
      message = error.what_without_backtrace();
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    EXPECT_EQ(ended, 4 - static_cast<int>(failing.size()));
    return message;
  };
  EXPECT_EQ(error_of({2}, false), "replica on cpu card 2: out of paper");
  EXPECT_EQ(error_of({0}, false), "replica on cpu card 0: out of paper");
  EXPECT_EQ(error_of({3, 1}, false), "replica on cpu card 1: out of paper");
  EXPECT_EQ(error_of({3}, true), "replica on cpu card 3: no such shape");
  EXPECT_EQ(error_of({}, false), "none") << "an error does not stay behind";
}

// One layer frozen, one used twice.
Network odd_model() {
  torch::manual_seed(2);
  const torch::nn::Linear tied(11, 11);
  const torch::nn::Linear frozen(11, 11);
  Network network(torch::nn::Linear(7, 11), torch::nn::Tanh(), tied, torch::nn::Tanh(),
                  frozen, torch::nn::Tanh(), tied, torch::nn::Linear(11, 3));
  frozen->weight.set_requires_grad(false);
  frozen->bias.set_requires_grad(false);
  network->to(at::kDouble);
  return network;
}

struct Halves {
  std::vector<at::Tensor> gradients;
  at::Tensor logits;
};

std::vector<at::Tensor> gradients_of(const Network& model) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : model->parameters()) {
    const at::Tensor& grad = parameter.grad();
    gradients.push_back(grad.defined() ? grad.clone() : at::Tensor());
  }
  return gradients;
}

Halves in_parallel(const Network& model, DataParallel& parallel,
                   const at::Tensor& images, const at::Tensor& labels) {
  for (at::Tensor& parameter : model->parameters()) parameter.mutable_grad().reset();
  const at::Tensor logits = parallel.forward(images);
  EXPECT_TRUE(logits.is_leaf());
  torch::cross_entropy_loss(logits, labels).backward();
  for (const at::Tensor& parameter : model->parameters()) {
    EXPECT_FALSE(parameter.grad().defined()) << "the first half stops at the logits";
  }
  parallel.backward(logits.grad());
  return {gradients_of(model), logits.detach()};
}

Halves alone(Network model, const at::Tensor& images, const at::Tensor& labels) {
  for (at::Tensor& parameter : model->parameters()) parameter.mutable_grad().reset();
  const at::Tensor logits = model->forward(images);
  torch::cross_entropy_loss(logits, labels).backward();
  return {gradients_of(model), logits.detach()};
}

class DataParallelTest : public testing::TestWithParam<int> {
 protected:
  std::vector<Card> cards_ = make_cards("cpu", GetParam(), 1);
  CardScope scope_{cards_.front()};
  StepMeter meter_{TrainOptions(), World(), cards_};
};

TEST_P(DataParallelTest, GradientsAreThoseOfOneCard) {
  Network model = odd_model();
  DataParallel parallel(model, cards_, meter_);
  for (const int64_t batch : {1, 5, 16, 33}) {
    const at::Tensor images = torch::randn({batch, 7}, at::kDouble);
    const at::Tensor labels = torch::randint(0, 3, {batch}, at::kLong);
    const Halves one = alone(model, images, labels);
    const Halves many = in_parallel(model, parallel, images, labels);
    EXPECT_TRUE(many.logits.allclose(one.logits, 1e-10, 0));
    for (size_t i = 0; i < one.gradients.size(); ++i) {
      ASSERT_EQ(many.gradients[i].defined(), one.gradients[i].defined())
          << model->named_parameters()[i].key() << ", batch " << batch;
      if (!one.gradients[i].defined()) continue;
      const auto difference =
          (many.gradients[i] - one.gradients[i]).norm().item<double>();
      EXPECT_LE(difference, 1e-10 * one.gradients[i].norm().item<double>())
          << model->named_parameters()[i].key() << ", batch " << batch;
    }
    // A step, so that the next pass must replicate anew.
    const at::NoGradGuard no_grad;
    for (at::Tensor& parameter : model->parameters()) {
      if (parameter.grad().defined()) parameter.add_(parameter.grad(), -0.1);
    }
  }
}

TEST_P(DataParallelTest, OnlyThePrimaryCardsBuffersSurvive) {
  torch::manual_seed(0);
  Network model(torch::nn::Linear(4, 6), torch::nn::BatchNorm1d(6),
                torch::nn::Linear(6, 3));
  model->to(at::kDouble);
  Network expected(
      std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone()));
  DataParallel parallel(model, cards_, meter_);
  for (int pass = 0; pass < 3; ++pass) {
    const at::Tensor images = torch::randn({40, 4}, at::kDouble);
    in_parallel(model, parallel, images, torch::randint(0, 3, {40}, at::kLong));
    expected->forward(images.chunk(GetParam())[0]);  // the primary card's piece alone
    const auto buffers = model->buffers();
    for (size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_TRUE(buffers[i].equal(expected->buffers()[i])) << i << ", pass " << pass;
    }
  }
}

TEST_P(DataParallelTest, EvaluationModeReachesTheReplicas) {
  torch::manual_seed(0);
  Network model(torch::nn::Linear(4, 6), torch::nn::BatchNorm1d(6));
  DataParallel parallel(model, cards_, meter_);
  model->eval();
  const at::NoGradGuard no_grad;
  const at::Tensor images = torch::randn({9, 4});
  EXPECT_TRUE(parallel.forward(images).allclose(model->forward(images), 1e-5, 1e-6));
}

TEST_P(DataParallelTest, EveryCardPaysForWhatItHolds) {
  int64_t bytes = 0;
  const int64_t before = device::card_bytes(0).live;
  {
    TrainOptions options;
    options.device = "cpu";
    Network model = training::make_model(options, cards_.front());
    for (const at::Tensor& parameter : model->parameters()) {
      bytes += static_cast<int64_t>(parameter.nbytes());
    }
    DataParallel parallel(model, cards_, meter_);
    for (int card = 1; card < GetParam(); ++card) {
      EXPECT_EQ(live(card, Category::replicas), bytes);
      EXPECT_EQ(device::card_bytes(card).live, bytes) << "nothing else yet";
    }
    EXPECT_EQ(live(0, Category::replicas), 0) << "the primary's replica is the model";
    in_parallel(model, parallel, torch::randn({64, 1, 28, 28}),
                torch::randint(0, 10, {64}, at::kLong));
    for (int card = 1; card < GetParam(); ++card) {
      EXPECT_EQ(device::card_bytes(card).live, bytes)
          << "the step left the replica alone";
      EXPECT_GT(device::card_bytes(card).peak, 2 * bytes) << "replica and gradients";
      EXPECT_LT(device::card_bytes(card).peak, device::card_bytes(0).peak);
    }
  }
  for (int card = 1; card < GetParam(); ++card)
    EXPECT_EQ(device::card_bytes(card).live, 0);
  EXPECT_EQ(device::card_bytes(0).live, before);
}

INSTANTIATE_TEST_SUITE_P(Cards, DataParallelTest, testing::Values(1, 2, 3, 8));

TEST(DataParallelErrors, AShapeThatDoesNotFitNamesTheCard) {
  const auto cards = make_cards("cpu", 3, 1);
  const CardScope scope(cards.front());
  StepMeter meter(TrainOptions(), World(), cards);
  DataParallel parallel(odd_model(), cards, meter);
  try {
    parallel.forward(torch::randn({6, 8}, at::kDouble));
    FAIL() << "8 features into 7";
  } catch (const c10::Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("replica on cpu card 0: ", 0), 0U)
        << error.what();
  }
}

}  // namespace
}  // namespace lockstep::data_parallel
