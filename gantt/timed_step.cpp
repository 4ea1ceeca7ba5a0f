#include "gantt/timed_step.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <stdexcept>

#include "ddp/reducers.h"
#include "gantt/carried_layers.h"
#include "model/networks.h"

namespace lockstep::gantt {
namespace {

using simulator::Rank;
using simulator::Span;
using simulator::TimedLayer;

constexpr int kSteps = 3;

// Note [One element for many]
// 64 cards with millions of parameters each would fill a laptop's memory. Time is
// counted in bytes over bandwidth: with so many times fewer bytes over a link so many
// times slower, and buckets so many times smaller, it is the same time.
class Scale {
 public:
  explicit Scale(const std::vector<TimedLayer>& layers) {
    constexpr int64_t kMostElements = 50'000;
    int64_t elements = 0;
    for (const TimedLayer& layer : layers) elements += layer.elements;
    times_ = std::max<int64_t>(1, elements / kMostElements);
  }

  std::vector<TimedLayer> down(std::vector<TimedLayer> layers) const {
    for (TimedLayer& layer : layers) {
      layer.elements = std::max<int64_t>(1, layer.elements / times_);
    }
    return layers;
  }
  predict::Cluster down(predict::Cluster cluster) const {
    cluster.inside.bytes_per_s /= static_cast<double>(times_);
    cluster.between.bytes_per_s /= static_cast<double>(times_);
    return cluster;
  }
  training::DdpOptions down(training::DdpOptions ddp) const {
    ddp.bucket_cap_mb /= static_cast<double>(times_);
    ddp.first_bucket_cap_mb /= static_cast<double>(times_);
    return ddp;
  }
  void up(Span& span) const {
    span.bytes *= times_;
    span.elements *= times_;
  }

 private:
  int64_t times_;
};

std::vector<TimedLayer> jittered(std::vector<TimedLayer> layers, const Pace& pace,
                                 int rank) {
  std::mt19937_64 random(pace.seed * 1000 + rank);
  const auto longer = [&](double seconds) {
    // Not std::uniform_real_distribution, which libraries do differently.
    const double share = static_cast<double>(random() >> 11) * 0x1p-53;
    return seconds * (1 + pace.jitter * share);
  };
  for (TimedLayer& layer : layers) {
    layer.forward_s = longer(layer.forward_s);
    layer.backward_s = longer(layer.backward_s);
  }
  return layers;
}

// A card's gradients are in proportion to its input, so their mean is that of the mean
// input.
double input_of(int rank) { return 1 + rank % 4; }
double mean_input(int cards) {
  double sum = 0;
  for (int rank = 0; rank < cards; ++rank) sum += input_of(rank);
  return sum / cards;
}

at::Tensor loss_of(Network& model, double input) {
  return model->forward(at::full({1}, input)).sum();
}

void check_gradients(const std::vector<at::Tensor>& found, Network& expected,
                     const std::string& who) {
  const std::vector<at::Tensor> parameters = model::trained_parameters(expected);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor gradient = found[i].grad(), wanted = parameters[i].grad();
    if (gradient.defined() && at::allclose(gradient, wanted, 1e-4, 1e-7)) continue;
    throw std::runtime_error(
        who + " is not timed: the gradient of layer " + std::to_string(i) + " is " +
        (gradient.defined() ? std::to_string(gradient.mean().item<double>())
                            : "undefined") +
        " in the mean, that over all cards' batches " +
        std::to_string(wanted.mean().item<double>()));
  }
}

}  // namespace

TimedStep timed_step(const std::string& reducer, int cards, const Pace& pace) {
  const Scale scale(pace.layers);
  const std::vector<TimedLayer> layers = scale.down(pace.layers);
  training::TrainOptions options;
  options.ddp = scale.down(pace.ddp);
  options.ddp.reducer = reducer;
  const auto make = ddp::reducers().at(reducer);

  Network expected = simulator::timed_net(layers, pace.seed);
  loss_of(expected, mean_input(cards)).backward();
  simulator::Simulation simulation(cards, scale.down(pace.cluster), pace.seed);
  std::vector<double> began(cards), ended(cards);
  simulation.run([&](Rank& rank) {
    const int self = rank.rank();
    Network model = simulator::timed_net(jittered(layers, pace, self), pace.seed);
    const auto ours =
        make(model::named_trained_parameters(model), rank.group(), options);
    for (int step = 0; step < kSteps; ++step) {
      began[self] = rank.now_s();
      ours->zero_grad();
      const at::Tensor loss = loss_of(model, input_of(self));
      ours->prepare(loss);
      loss.backward();
      ours->finalize();
      ended[self] = rank.now_s();
      check_gradients(model::trained_parameters(model), expected,
                      reducer + " on " + std::to_string(cards) + " cards");
    }
  });

  TimedStep step;
  step.reducer = reducer;
  step.cards = cards;
  const double begin_s = *std::min_element(began.begin(), began.end());
  step.seconds = *std::max_element(ended.begin(), ended.end()) - begin_s;
  std::map<int, double> worked;
  std::map<int, CarriedLayers> carries;
  for (Span span : simulation.spans()) {
    if (span.begin_s < began[span.rank]) continue;
    if (span.lane == Span::Lane::compute) {
      worked[span.rank] += span.end_s - span.begin_s;
    } else {
      auto carried = carries.try_emplace(span.rank, layers).first;
      span.name = carried->second.next(span.elements);
    }
    for (double* at_s : {&span.begin_s, &span.end_s, &span.launched_s})
      *at_s -= begin_s;
    scale.up(span);
    step.spans.push_back(std::move(span));
  }
  double most_s = 0;
  for (const auto& [rank, seconds] : worked) most_s = std::max(most_s, seconds);
  step.exposed_s = std::max(0.0, step.seconds - most_s);
  return step;
}

}  // namespace lockstep::gantt
