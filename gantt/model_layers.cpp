#include "gantt/model_layers.h"

#include <torch/nn/functional/loss.h>

#include <algorithm>
#include <chrono>

#include "ddp/gradient_hooks.h"
#include "model/networks.h"
#include "training/catalog.h"

namespace lockstep::gantt {
namespace {

using simulator::TimedLayer;
using Clock = std::chrono::steady_clock;

constexpr int kSteps = 5;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Timed {
  double forward_s = 0, backward_s = 0;
  std::vector<TimedLayer> layers;  // as their gradients came
  double seconds() const { return forward_s + backward_s; }
};

}  // namespace

std::vector<TimedLayer> layers_of_model(const std::string& name, int64_t batch_size) {
  TrainOptions options;
  options.model = name;
  options.dataset = training::usual_dataset(name);
  if (options.dataset == "fashion-mnist") options.dataset = "synthetic";
  options.device = "cpu";
  options.threads_per_card = 1;
  const Card card = training::make_cards(options, 1).at(0);
  const CardScope scope(card);
  Network model = training::make_model(options, card);
  const auto dataset = training::load_dataset(options);
  const auto sampler =
      training::make_sampler("random", dataset.train.size(), options, World());
  const auto loader = training::make_loader(dataset, *sampler, options, batch_size);
  const data::Batch batch = *loader.begin();

  const std::vector<at::Tensor> parameters = model::trained_parameters(model);
  Timed step;
  double came_s = 0;
  Clock::time_point begin;
  const ddp::GradientHooks hooks(parameters, [&](size_t i, bool /*alone*/) {
    const double now_s = since(begin);
    step.layers.push_back({parameters[i].numel(), 0, now_s - came_s});
    came_s = now_s;
  });
  std::vector<Timed> steps;
  for (int i = 0; i < kSteps; ++i) {
    for (const at::Tensor& parameter : parameters) parameter.mutable_grad().reset();
    step = {};
    came_s = 0;
    begin = Clock::now();
    const at::Tensor logits = model->forward(batch.images);
    const at::Tensor loss = torch::nn::functional::cross_entropy(
        logits.flatten(0, -2), batch.labels.flatten());
    step.forward_s = since(begin);
    begin = Clock::now();
    loss.backward();
    step.backward_s = since(begin);
    steps.push_back(std::move(step));
  }
  std::sort(steps.begin(), steps.end(),
            [](const Timed& a, const Timed& b) { return a.seconds() < b.seconds(); });
  Timed& middle = steps[kSteps / 2];
  std::reverse(middle.layers.begin(), middle.layers.end());
  for (TimedLayer& layer : middle.layers) {
    layer.forward_s = middle.forward_s * layer.backward_s / middle.backward_s;
  }
  return middle.layers;
}

}  // namespace lockstep::gantt
