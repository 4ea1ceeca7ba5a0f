// Every combination of options leaves the mathematics alone: random networks, batches
// and cards, trained for some steps, beside one card on the whole batch.
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/types.h>

#include <random>

#include "data_parallel/data_parallel.h"
#include "data_parallel/loss_place.h"
#include "training/evaluate.h"

namespace lockstep::data_parallel {
namespace {

namespace nn = torch::nn;
using device::make_cards;

constexpr int kSteps = 4;

struct Setting {
  explicit Setting(uint64_t seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto one_of = [&](auto... values) {
      const std::common_type_t<decltype(values)...> all[] = {values...};
      return all[random() % sizeof...(values)];
    };
    const int cards = one_of(1, 2, 3, 4, 5, 8);
    options.gpus = cards;
    auto& dp = options.data_parallel;
    dp.reduce = one_of("auto", "serial", "tree");
    dp.replicate = one_of("cached", "cached", "every-step");
    dp.loss = one_of("primary", "replica");
    dp.primary_share = one_of(1.0, 1.0, 0.5, 0.01);
    for (int i = 0; i < cards; ++i) dp.device_ids.push_back(i);
    std::shuffle(dp.device_ids.begin(), dp.device_ids.end(), random);
    if (random() % 2 == 0) dp.output_device = one_of(0, cards - 1);
    batch = one_of(1, 2, 7, 16, 33);
    width = one_of(1, 3, 16, 21);
    classes = one_of(2, 5);
    layers = one_of(0, 1, 3);
    momentum = one_of(0.0, 0.9);
  }

  std::string text() const {
    const auto& dp = options.data_parallel;
    return std::to_string(options.gpus) + " cards, batch " + std::to_string(batch) +
           ", " + dp.reduce + ", " + dp.replicate + ", loss on " + dp.loss +
           ", share " + std::to_string(dp.primary_share) + ", output on " +
           std::to_string(dp.output_device);
  }

  Network network() const {
    torch::manual_seed(3);
    Network network(nn::Linear(6, width), nn::Tanh());
    const nn::Linear tied(width, width);
    for (int64_t i = 0; i < layers; ++i) {
      network->push_back(tied);
      network->push_back(nn::LayerNorm(nn::LayerNormOptions({width})));
      nn::Linear frozen(width, width);
      frozen->weight.set_requires_grad(i % 2 == 0);
      network->push_back(frozen);
    }
    network->push_back(nn::Linear(width, classes));
    network->to(at::kDouble);
    return network;
  }

  TrainOptions options;
  int64_t batch, width, classes, layers;
  double momentum;
};

torch::optim::SGD optimizer_of(const Network& network, const Setting& setting) {
  return torch::optim::SGD(model::trained_parameters(network),
                           torch::optim::SGDOptions(0.2).momentum(setting.momentum));
}

struct Data {
  Data(const Setting& setting, int step) {
    torch::manual_seed(100 + step);
    // The last batch of an epoch is smaller.
    const int64_t rows = step == 2 ? (setting.batch + 1) / 2 : setting.batch;
    images = torch::randn({rows, 6}, at::kDouble);
    labels = torch::randint(0, setting.classes, {rows}, at::kLong);
  }
  at::Tensor images, labels;
};

void expect_equal(const std::vector<at::Tensor>& found,
                  const std::vector<at::Tensor>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double difference = (found[i] - wanted[i]).norm().item<double>();
    ASSERT_LE(difference, 1e-10 * std::max(1e-3, wanted[i].norm().item<double>())) << i;
  }
}

class CombinationsTest : public testing::TestWithParam<int> {};

TEST_P(CombinationsTest, LossesAndParametersAreOneCards) {
  const Setting setting(static_cast<uint64_t>(GetParam()));
  SCOPED_TRACE(setting.text());
  std::vector<Card> cards;
  for (const int id : setting.options.data_parallel.device_ids) {
    cards.emplace_back(at::kCPU, id, 1);
  }
  make_cards("cpu", 1, 1);  // the ledger watches
  const CardScope scope(cards.front());
  Network network = setting.network(), alone = setting.network();
  StepMeter meter(setting.options, World(), cards);
  const LossPlace criterion(setting.options, cards, meter);
  DataParallel parallel(network.ptr(), criterion.forward(), cards,
                        setting.options.data_parallel, meter);
  torch::optim::SGD ours = optimizer_of(network, setting);
  torch::optim::SGD theirs = optimizer_of(alone, setting);
  for (int step = 0; step < kSteps; ++step) {
    const Data data(setting, step);
    ours.zero_grad();
    const Tensors outputs =
        parallel.forward(criterion.inputs(data.images, data.labels));
    const at::Tensor loss = criterion(outputs.front(), data.labels);
    loss.backward();
    parallel.backward({outputs.front().grad()});
    ours.step();

    theirs.zero_grad();
    const at::Tensor wanted =
        training::cross_entropy(alone->forward(data.images), data.labels);
    wanted.backward();
    theirs.step();
    ASSERT_NEAR(loss.item<double>(), wanted.item<double>(),
                1e-10 * wanted.item<double>())
        << "step " << step;
    expect_equal(network->parameters(), alone->parameters());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CombinationsTest, testing::Range(0, 150));

}  // namespace
}  // namespace lockstep::data_parallel
