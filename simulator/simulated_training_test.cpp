// The loops and reducers as they are, over simulated links: one card's losses come out,
// and the times that predict/ knows.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "ddp/reducers.h"
#include "ddp/train.h"
#include "predict/step_time.h"
#include "simulator/simulation.h"
#include "simulator/timed_net.h"
#include "single_gpu/train.h"
#include "training/catalog.h"

namespace lockstep::simulator {
namespace {

predict::Cluster ethernet(int cards_per_host) {
  predict::Cluster cluster;
  cluster.cards_per_host = cards_per_host;
  cluster.inside = predict::link_named("pcie");
  cluster.between = predict::link_named("1gbit");
  return cluster;
}

// What a loop on a rank's thread gets as its process group.
void register_simulated() {
  training::process_groups().add("simulated", [](const TrainOptions&, const World&) {
    return this_rank()->shared_group();
  });
}

TEST(SimulatedTraining, FourRanksHaveOneCardsLosses) {
  register_simulated();
  TrainOptions options;
  options.model = "mlp";
  options.dataset = "synthetic";
  options.device = "cpu";
  options.precision = "fp64";
  options.threads_per_card = 1;
  options.steps = 5;
  options.batch_size = 32;
  const training::TrainReport alone = single_gpu::train(options, World());
  ASSERT_EQ(alone.losses.size(), 5u);

  options.batch_size = 8;
  options.backend = "simulated";
  for (const char* reducer : {"naive", "bucketed"}) {
    options.ddp.reducer = reducer;
    std::vector<training::TrainReport> reports(4);
    Simulation simulation(4, ethernet(2));
    simulation.run([&](Rank& rank) {
      World world = launch::on_one_machine(rank.size());
      world.rank = world.local_rank = rank.rank();
      reports[rank.rank()] = ddp::train(options, world);
    });
    for (const training::TrainReport& report : reports) {
      ASSERT_EQ(report.losses.size(), alone.losses.size());
      for (size_t i = 0; i < alone.losses.size(); ++i) {
        EXPECT_NEAR(report.losses[i], alone.losses[i], 1e-10 * alone.losses[i]);
      }
    }
    EXPECT_GT(simulation.seconds(), 0);
  }
}

struct Step {
  double seconds = 0;
  at::Tensor gradient;  // of the first layer, on rank 0
};

// The third step: before the second the ranks agreed on the buckets that stay.
Step step_of(const std::string& reducer, int ranks,
             const std::vector<TimedLayer>& layers, const predict::Cluster& cluster,
             const TrainOptions& options) {
  Step step;
  Simulation simulation(ranks, cluster);
  simulation.run([&](Rank& rank) {
    Network model = timed_net(layers, /*seed=*/3);
    const auto gradients = ddp::reducers().at(reducer)(
        model::named_trained_parameters(model), rank.group(), options);
    double begin_s = 0;
    for (int i = 0; i < 3; ++i) {
      begin_s = rank.now_s();
      gradients->zero_grad();
      const at::Tensor output = model->forward(at::full({4}, 1.0 + rank.rank()));
      gradients->prepare(output);
      output.mean().backward();
      gradients->finalize();
    }
    if (rank.rank() != 0) return;
    step = {rank.now_s() - begin_s, model->parameters()[0].grad().clone()};
  });
  return step;
}

TEST(SimulatedTraining, ReducersTakeWhatTheForecastSays) {
  const std::vector<TimedLayer> layers = {{200000, 4e-3, 9e-3},
                                          {900000, 5e-3, 10e-3},
                                          {50000, 2e-3, 4e-3},
                                          {400000, 3e-3, 6e-3}};
  TrainOptions options;
  options.ddp.bucket_cap_mb = 2;
  options.ddp.first_bucket_cap_mb = 1;
  predict::CardStep card;
  double parameters = 0;
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    card.forward_s += layer->forward_s;
    card.backward_s += layer->backward_s;
    card.gradients.push_back({card.backward_s, 4.0 * layer->elements});
    parameters += layer->elements;
  }
  for (const int ranks : {1, 2, 8}) {
    const predict::Cluster cluster = ethernet(1);
    predict::Buckets buckets = {1 << 20, 2 << 20};
    const double overlapped = predict::ddp_step(card, buckets, cluster, ranks).seconds;
    buckets = {0, 0, /*overlap=*/false};
    const double naive = predict::ddp_step(card, buckets, cluster, ranks).seconds;
    const double flat = card.forward_s + card.backward_s +
                        predict::all_reduce_s(cluster, ranks, 4 * parameters);
    const Step step = step_of("bucketed", ranks, layers, cluster, options);
    EXPECT_NEAR(step.seconds, overlapped, 1e-9) << ranks;
    EXPECT_NEAR(step_of("naive", ranks, layers, cluster, options).seconds, naive, 1e-9);
    const Step other = step_of("flat", ranks, layers, cluster, options);
    EXPECT_NEAR(other.seconds, flat, 1e-9);
    EXPECT_TRUE(at::allclose(step.gradient, other.gradient, 1e-5, 0));
    EXPECT_GT(step.gradient[0].item<float>(), 0);
    if (ranks == 8) EXPECT_LT(overlapped, naive);
  }
}

// The mean over ranks of their inputs' means, through the layers after it.
TEST(SimulatedTraining, ATimedNetsGradientsDependOnTheRanksInput) {
  const std::vector<TimedLayer> layers = {{3, 0, 0}, {2, 0, 0}};
  const Network model = timed_net(layers, 1);  // on no rank's thread
  const auto parameters = model->parameters();
  ASSERT_EQ(parameters.size(), 2u);
  const double last = parameters[1].mean().item<double>();
  const Step step = step_of("flat", 2, layers, ethernet(1), {});
  const Network same = timed_net(layers, 3);
  const double after = same->parameters()[1].mean().item<double>();
  EXPECT_NEAR(step.gradient[2].item<double>(), 1.5 * after / 3, 1e-6);
  EXPECT_NE(last, after) << "the seed draws the parameters";
}

}  // namespace
}  // namespace lockstep::simulator
