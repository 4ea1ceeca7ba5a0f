// Whole runs of local SGD and DiLoCo, ranks as threads, against the same written out on
// one thread: a net with a frozen layer, one that stands in it twice, and batch norm.
#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/optim/sgd.h>

#include "tests/ddp_on_threads.h"
#include "training/catalog.h"

namespace lockstep::ddp {
namespace {

namespace nn = torch::nn;

Network odd_net() {
  nn::Linear frozen(784, 9);
  nn::Linear tied(9, 9);
  for (at::Tensor& parameter : frozen->parameters()) parameter.requires_grad_(false);
  return Network(nn::Flatten(), frozen, nn::Tanh(), tied, nn::BatchNorm1d(9),
                 nn::Tanh(), tied, nn::Tanh(), nn::Linear(9, 10));
}

void expect_near(const Tensors& actual, const Tensors& wanted,
                 const std::string& what) {
  ASSERT_EQ(actual.size(), wanted.size()) << what;
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_LE((actual[i] - wanted[i]).norm().item<double>(),
              1e-10 * wanted[i].norm().item<double>())
        << what << ", parameter " << i;
  }
}

// The same, one rank after the other. Parameters after each meeting, losses of each
// step.
struct ByHand {
  std::vector<Tensors> met;
  std::vector<double> losses;
};

ByHand by_hand(int ranks, const TrainOptions& options) {
  const Card card = training::make_cards(options, 1).front();
  const auto dataset = training::load_dataset(options);
  struct Rank {
    Network model;
    Tensors trained;  // each once
    std::shared_ptr<torch::optim::SGD> sgd;
    std::vector<data::Batch> batches;
  };
  std::vector<Rank> all;
  for (int r = 0; r < ranks; ++r) {
    const Network model = training::make_model(options, card);
    const Tensors trained = model::trained_parameters(model);
    const auto sampler = training::make_sampler(
        "distributed", dataset.train.size(), options, {.rank = r, .world_size = ranks});
    sampler->set_epoch(0);
    all.push_back({model,
                   trained,
                   std::make_shared<torch::optim::SGD>(
                       trained, torch::optim::SGDOptions(options.lr)
                                    .momentum(options.momentum)
                                    .weight_decay(options.weight_decay)),
                   {}});
    const auto passes = static_cast<size_t>(options.steps * options.accumulate);
    const auto loader =
        training::make_loader(dataset, *sampler, options, options.batch_size);
    for (const auto& batch : loader) {
      if (all.back().batches.size() == passes) break;
      all.back().batches.push_back(batch);
    }
  }
  const bool outer = options.ddp.reducer == "diloco";
  const double lr = outer ? options.ddp.outer_lr : 1;
  const double momentum = outer ? options.ddp.outer_momentum : 0;
  Tensors starts = Eyes::copies(all[0].trained);
  Tensors speeds;
  for (const at::Tensor& start : starts) speeds.push_back(at::zeros_like(start));
  ByHand result;
  for (int64_t step = 0; step < options.steps; ++step) {
    double losses = 0;
    for (Rank& rank : all) {
      rank.sgd->zero_grad();
      for (int64_t pass = 0; pass < options.accumulate; ++pass) {
        const data::Batch& batch =
            rank.batches[static_cast<size_t>(step * options.accumulate + pass)];
        const at::Tensor loss = nn::functional::cross_entropy(
            rank.model->forward(batch.images), batch.labels);
        (loss / options.accumulate).backward();
        losses += loss.item<double>() / static_cast<double>(options.accumulate);
      }
      rank.sgd->step();
    }
    result.losses.push_back(losses / ranks);
    const bool meets =
        (step + 1) % options.ddp.local_sgd == 0 || step + 1 == options.steps;
    if (!meets) continue;
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < starts.size(); ++i) {
      at::Tensor gradient = starts[i].clone();
      for (const Rank& rank : all) {
        gradient -= rank.trained[i] / ranks;
      }
      speeds[i] = speeds[i] * momentum + gradient;
      starts[i] -= (gradient + speeds[i] * momentum) * lr;
      for (const Rank& rank : all) rank.trained[i].copy_(starts[i]);
    }
    result.met.push_back(Eyes::copies(all[0].model->parameters()));
  }
  return result;
}

class AveragingReducer : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    training::models().add("odd-net", [](const auto& /*inputs*/) { return odd_net(); });
    add_recorded_backends();
  }

  static TrainOptions options(const std::string& reducer, int64_t every,
                              int64_t steps) {
    TrainOptions options;
    options.model = "odd-net";
    options.dataset = "synthetic";
    options.precision = "fp64";
    options.steps = steps;
    options.batch_size = 6;
    options.lr = 0.3;
    options.device = "cpu";
    options.threads_per_card = 1;
    options.ddp.reducer = reducer;
    options.ddp.local_sgd = every;
    return options;
  }
};

// Whole rounds and a short last one, and nothing is said in between.
void expect_by_hand(int ranks, const TrainOptions& options) {
  const std::string what = options.ddp.reducer + " over " + options.backend;
  const ByHand wanted = by_hand(ranks, options);
  const Trained trained = run(ranks, options);
  ASSERT_EQ(trained.reports[0].losses.size(), wanted.losses.size()) << what;
  for (size_t i = 0; i < wanted.losses.size(); ++i) {
    EXPECT_NEAR(trained.reports[0].losses[i], wanted.losses[i], 1e-10)
        << what << ", step " << i;
  }
  size_t meetings = 0;
  for (size_t step = 0; step < wanted.losses.size(); ++step) {
    const bool met = (static_cast<int64_t>(step) + 1) % options.ddp.local_sgd == 0 ||
                     step + 1 == wanted.losses.size();
    for (int rank = 0; rank < ranks; ++rank) {
      const Eyes& eyes = *trained.ranks[static_cast<size_t>(rank)];
      EXPECT_EQ(eyes.messages[step], met ? 1 : 0) << what << ", step " << step;
      if (met) expect_near(eyes.after[step], wanted.met[meetings], what);
      if (rank == 0) continue;
      EXPECT_EQ(same(eyes.after[step], trained.ranks[0]->after[step]), met)
          << what << ", step " << step;
    }
    if (met) ++meetings;
  }
  for (const auto& eyes : trained.ranks) EXPECT_EQ(eyes->broadcasts, 0) << what;
}

TEST_F(AveragingReducer, LocalSgdIsTheMeanEveryHSteps) {
  TrainOptions two = options("local-sgd", 3, 8);
  two.backend = "recorded-gloo";
  two.momentum = 0.9;
  expect_by_hand(2, two);
  TrainOptions three = options("local-sgd", 2, 4);
  three.backend = "recorded-shm";
  three.weight_decay = 0.01;
  three.accumulate = 3;
  expect_by_hand(3, three);
}

TEST_F(AveragingReducer, DilocoIsItsOuterStepEveryHSteps) {
  TrainOptions four = options("diloco", 2, 7);
  four.backend = "recorded-gloo";
  expect_by_hand(4, four);
  TrainOptions two = options("diloco", 4, 5);
  two.backend = "recorded-shm";
  two.momentum = 0.5;
  two.accumulate = 2;
  two.ddp.outer_lr = 0.4;
  two.ddp.outer_momentum = 0.6;
  expect_by_hand(2, two);
}

TEST_F(AveragingReducer, MeetingInEveryStepIsDdp) {
  for (const std::string backend : {"gloo", "shm"}) {
    TrainOptions ddp = options("bucketed", 0, 5);
    ddp.backend = backend;
    TrainOptions local = options("local-sgd", 1, 5);
    local.backend = backend;
    const Trained wanted = run(3, ddp);
    const Trained trained = run(3, local);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(trained.reports[0].losses[i], wanted.reports[0].losses[i], 1e-10);
    }
    expect_near(trained.ranks[0]->last(), wanted.ranks[0]->last(), backend);
  }
}

}  // namespace
}  // namespace lockstep::ddp
