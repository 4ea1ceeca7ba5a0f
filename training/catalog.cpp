#include "training/catalog.h"

#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "device/cuda.h"
#include "training/numerics.h"

namespace lockstep::training {

Registry<Network(const model::Inputs&)>& models() {
  static Registry<Network(const model::Inputs&)> known(
      "model", {{"linear", &model::linear},
                {"mlp", &model::mlp},
                {"mlp-wide", &model::mlp_wide},
                {"convnet", &model::convnet},
                {"convnet-plain", &model::convnet_plain},
                {"resnet18", &model::resnet18},
                {"resnet50", &model::resnet50},
                {"transformer", &model::transformer},
                {"transformer-tied", &model::transformer_tied}});
  return known;
}

Registry<data::Dataset(const data::Source&)>& datasets() {
  static Registry<data::Dataset(const data::Source&)> known(
      "dataset", {{"fashion-mnist", &data::load_fashion_mnist},
                  {"mnist", &data::load_mnist},
                  {"cifar10", &data::load_cifar10},
                  {"synthetic", &data::make_synthetic_images},
                  {"features100", &data::make_features100},
                  {"tokens", &data::load_tokens}});
  return known;
}

Registry<SamplerPtr(int64_t, const TrainOptions&, const World&)>& samplers() {
  static Registry<SamplerPtr(int64_t, const TrainOptions&, const World&)> known(
      "sampler",
      {{"random",
        [](int64_t size, const TrainOptions& options, const World&) -> SamplerPtr {
          return std::make_unique<data::RandomSampler>(size, options.seed);
        }},
       {"distributed",
        [](int64_t size, const TrainOptions& options,
           const World& world) -> SamplerPtr {
          if (options.ddp.join) {
            return std::make_unique<data::UnevenSampler>(size, world.world_size,
                                                         world.rank, options.seed);
          }
          return std::make_unique<data::DistributedSampler>(
              size, world.world_size, world.rank, options.seed, options.drop_last);
        }},
       {"ranks-in-turn",
        [](int64_t size, const TrainOptions& options, const World&) -> SamplerPtr {
          return std::make_unique<data::RanksInTurnSampler>(
              size, options.accumulate, options.batch_size, options.seed);
        }}});
  return known;
}

at::ScalarType scalar_type(const TrainOptions& options) {
  const std::vector<std::string>& known = TrainOptions::precision_words();
  if (std::find(known.begin(), known.end(), options.precision) == known.end()) {
    throw_unknown_name("precision", options.precision, known);
  }
  return options.precision == "fp64" ? at::kDouble : at::kFloat;
}

std::vector<Card> make_cards(const TrainOptions& options, int count) {
  set_numerics(options);
  const std::vector<int>& ids = options.data_parallel.device_ids;
  const int threads = device::threads_of_card(options.threads_per_card, count);
  const int all = ids.empty() ? count : 1 + *std::max_element(ids.begin(), ids.end());
  const bool own = options.own_device && options.device != "cpu" &&
                   device::cuda_devices().count == 1;
  std::vector<Card> cards = device::make_cards(options.device, all, threads,
                                               own ? all : options.ranks_per_gpu);
  if (options.precision == "tf32" && cards.front().emulated()) {
    throw std::invalid_argument(
        "--precision tf32 is how CUDA cards round, and there is none; try bf16");
  }
  if (options.cudnn_benchmark && cards.front().emulated()) {
    throw std::invalid_argument(
        "--cudnn-benchmark is of CUDA cards, and there is none; leave it out");
  }
  const double bytes = options.card_memory_gib * (int64_t{1} << 30);
  for (Card& card : cards) {
    card.limit_memory(std::llround(std::ceil(bytes)));
    if (options.cuda_graph) card.use_own_stream();
  }
  if (ids.empty()) return cards;
  std::vector<Card> chosen;
  for (const int id : ids) chosen.push_back(cards.at(static_cast<size_t>(id)));
  return chosen;
}

model::Inputs inputs_of(const TrainOptions& options) {
  model::Inputs inputs;
  if (options.dataset == "cifar10") {
    inputs.channels = 3;
    inputs.height = inputs.width = 32;
  }
  inputs.vocabulary = options.vocab_size;
  const config::Section& told = inputs.arguments = options.model_arguments;
  constexpr int64_t kMost = 1'000'000;
  inputs.channels = told.integer("channels", inputs.channels, 1, kMost);
  inputs.height = told.integer("height", inputs.height, 4, kMost);
  inputs.width = told.integer("width", inputs.width, 4, kMost);
  inputs.classes = told.integer("classes", inputs.classes, 1, kMost);
  return inputs;
}

Network make_model(const TrainOptions& options, const Card& card) {
  const auto& factory = models().at(options.model);
  const device::CategoryScope category(device::Category::parameters);
  Network network{nullptr};
  {
    // Seeding and drawing are one act: ranks that are threads share LibTorch's
    // generator.
    static std::mutex drawing;
    const std::lock_guard lock(drawing);
    torch::manual_seed(options.seed);
    network = factory(inputs_of(options));
  }
  network->to(card.torch_device(), scalar_type(options));
  if (options.channels_last) {
    for (at::Tensor& parameter : network->parameters()) {
      if (parameter.dim() != 4) continue;
      // A clone, for contiguous() lets one input channel pass as either format.
      parameter.set_data(parameter.detach().clone(at::MemoryFormat::ChannelsLast));
    }
  }
  return network;
}

data::Dataset load_dataset(const TrainOptions& options) {
  const device::HostScope host;
  data::Source source;
  source.data_dir = options.data_dir;
  source.vocabulary = options.vocab_size;
  data::Dataset dataset = datasets().at(options.dataset)(source);
  dataset.set_type(scalar_type(options));
  return dataset;
}

SamplerPtr make_sampler(const std::string& usual, int64_t size,
                        const TrainOptions& options, const World& world) {
  const std::string& name = options.sampler.empty() ? usual : options.sampler;
  SamplerPtr sampler = samplers().at(name)(size, options, world);
  sampler->set_order(options.order);
  sampler->resume_at(options.start.epoch, options.start.samples / world.world_size);
  return sampler;
}

DataLoader make_loader(const data::Dataset& dataset, const data::Sampler& sampler,
                       const TrainOptions& options, int64_t batch_size) {
  return {dataset.train,
          dataset.type,
          sampler,
          {batch_size, options.drop_last, options.channels_last, options.num_workers,
           options.pin_memory}};
}

}  // namespace lockstep::training
