#include "training/catalog.h"

#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <mutex>

#include "comm/gloo.h"
#include "comm/nccl.h"
#include "comm/own_address.h"
#include "comm/quiet_log.h"
#include "comm/rendezvous.h"
#include "device/cuda.h"
#include "launch/listener.h"
#include "membership/watch.h"
#include "shm/shm.h"

namespace lockstep::training {
namespace {

std::chrono::seconds patience(const TrainOptions& options) {
  return std::chrono::seconds(options.timeout_s);
}

comm::Meeting meeting_of(const TrainOptions& options, const World& world) {
  comm::Meeting meeting;
  meeting.rank = world.rank;
  meeting.world_size = world.world_size;
  meeting.host = world.master_addr;
  meeting.port = world.master_port;
  meeting.file = world.store_file;
  meeting.attempt = world.attempt;
  meeting.host_store = !world.agent_hosts_store;
  meeting.job = world.job;
  meeting.timeout = patience(options);
  if (world.rank == 0 && meeting.host_store && meeting.file.empty()) {
    meeting.listen_fd =
        world.store_fd >= 0
            ? world.store_fd
            : launch::Listener(world.master_addr, world.master_port).release();
  }
  return meeting;
}

// Beside the collectives of whatever backend.
comm::PeerWatchPtr watch_over(const TrainOptions& options, const World& world,
                              c10d::Store& store, const std::string& own_address) {
  if (world.world_size == 1) return nullptr;
  membership::WatchOptions watch;
  watch.index = world.rank;
  watch.count = world.world_size;
  watch.address = own_address;
  watch.turn = world.local_rank;
  watch.last_words = options.last_words;
  return std::make_shared<membership::Watch>(store, watch);
}

ProcessGroupPtr meet_over_gloo(const TrainOptions& options, const World& world) {
  const comm::Meeting meeting = meeting_of(options, world);
  const auto store = comm::meet(meeting);
  const std::string address = comm::own_address(meeting, *store);
  return comm::make_gloo(store, world.rank, world.world_size, address,
                         patience(options),
                         watch_over(options, world, *store, address));
}

ProcessGroupPtr meet_over_shm(const TrainOptions& options, const World& world) {
  const auto store = comm::meet(meeting_of(options, world));
  return shm::make_shm(store, world.rank, world.world_size, patience(options),
                       /*card=*/world.local_rank,
                       watch_over(options, world, *store, "127.0.0.1"));
}

// NCCL takes two ranks on one device for a mistake unless they claim to be on different
// hosts; then they talk over sockets: right for correctness, not for bandwidth. And it
// listens on whatever interface it likes, where nobody says which.
void prepare_nccl(const TrainOptions& options, const World& world,
                  const std::string& own_address) {
  const auto set = [](const char* name, const std::string& value) {
    setenv(name, value.c_str(), /*overwrite=*/0);  // the user knows better
  };
  if (options.ranks_per_gpu > 1) {
    set("NCCL_HOSTID", "lockstep-" + std::to_string(world.rank));
  }
  // "=": that name, and not all that begin with it.
  const std::string interface = comm::interface_of(own_address);
  if (!interface.empty()) set("NCCL_SOCKET_IFNAME", "=" + interface);
}

ProcessGroupPtr meet_over_nccl(const TrainOptions& options, const World& world) {
  const comm::Meeting meeting = meeting_of(options, world);
  const auto store = comm::meet(meeting);
  const std::string address = comm::own_address(meeting, *store);
  prepare_nccl(options, world, address);
  const at::Device device =
      make_cards(options, world.local_world_size).at(world.local_rank).torch_device();
  return comm::make_nccl(store, world.rank, world.world_size, device, patience(options),
                         watch_over(options, world, *store, address));
}

}  // namespace

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

Registry<ProcessGroupPtr(const TrainOptions&, const World&)>& process_groups() {
  static Registry<ProcessGroupPtr(const TrainOptions&, const World&)> known(
      "backend",
      {{"gloo", &meet_over_gloo}, {"nccl", &meet_over_nccl}, {"shm", &meet_over_shm}});
  return known;
}

at::ScalarType scalar_type(const TrainOptions& options) {
  if (options.precision == "fp32") return at::kFloat;
  if (options.precision == "fp64") return at::kDouble;
  throw_unknown_name("precision", options.precision, {"fp32", "fp64"});
}

std::vector<Card> make_cards(const TrainOptions& options, int count) {
  const std::vector<int>& ids = options.data_parallel.device_ids;
  const int threads = device::threads_of_card(options.threads_per_card, count);
  const int all = ids.empty() ? count : 1 + *std::max_element(ids.begin(), ids.end());
  const bool own = options.own_device && options.device != "cpu" &&
                   device::cuda_devices().count == 1;
  std::vector<Card> cards = device::make_cards(options.device, all, threads,
                                               own ? all : options.ranks_per_gpu);
  const double bytes = options.card_memory_gib * (int64_t{1} << 30);
  for (Card& card : cards) card.limit_memory(std::llround(std::ceil(bytes)));
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

std::string resolve_backend(const TrainOptions& options, const World& world) {
  const bool cuda = options.device == "cuda" ||
                    (options.device == "auto" && device::cuda_devices().count > 0);
  const bool one_host = world.local_world_size == world.world_size;
  if (options.backend == "nccl" && !cuda) {
    throw std::invalid_argument(
        "--backend nccl moves bytes between CUDA cards and --device " + options.device +
        " has none here; try --backend gloo");
  }
  if (options.backend == "shm" && (cuda || !one_host)) {
    throw std::invalid_argument(
        std::string("--backend shm serves the emulated cards of one host, and these ") +
        (cuda ? "are CUDA cards; try --backend nccl"
              : "are on several; try --backend gloo"));
  }
  if (options.backend != "auto") {
    process_groups().at(options.backend);
    return options.backend;
  }
  if (cuda) return "nccl";
  return one_host ? "shm" : "gloo";
}

ProcessGroupPtr make_process_group(const TrainOptions& options, const World& world) {
  const comm::QuietLog quiet;
  return process_groups().at(resolve_backend(options, world))(options, world);
}

}  // namespace lockstep::training
