// The registries of the lowest rooms' parts, and the parts themselves as the options
// ask for them. Rooms above keep their own: ddp/reducers.h.
#pragma once

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "data/sampler.h"
#include "device/card.h"
#include "launch/world.h"
#include "model/networks.h"
#include "registry/registry.h"
#include "training/options.h"

namespace lockstep::training {

using SamplerPtr = std::unique_ptr<data::Sampler>;
using ProcessGroupPtr = std::shared_ptr<comm::ProcessGroup>;
using LibTorchOptimizer = std::unique_ptr<torch::optim::Optimizer>;

Registry<Network(const model::Inputs&)>& models();
Registry<data::Dataset(const data::Source&)>& datasets();
Registry<SamplerPtr(int64_t size, const TrainOptions&, const World&)>& samplers();
Registry<ProcessGroupPtr(const TrainOptions&, const World&)>& process_groups();
Registry<LibTorchOptimizer(const std::vector<at::Tensor>&, const TrainOptions&)>&
optimizers();

// The cards of this machine, as the options ask for them: the first `count`, or those
// of --device-ids in that order. Sets the process's numerics (numerics.h).
std::vector<Card> make_cards(const TrainOptions& options, int count);

// The shape of the data set's samples. Its name alone says it, for a model is made
// before the data is there; of a data set of somebody's own the model's arguments do.
model::Inputs inputs_of(const TrainOptions& options);

// The model by its name, initialised from the seed as the Python twin is, on the card,
// its parameters charged to it.
Network make_model(const TrainOptions& options, const Card& card);

data::Dataset load_dataset(const TrainOptions& options);

// options.sampler, or where that is empty the sampler called `usual`.
SamplerPtr make_sampler(const std::string& usual, int64_t size,
                        const TrainOptions& options, const World& world);

// Batches of the training half; keeps references to both.
DataLoader make_loader(const data::Dataset& dataset, const data::Sampler& sampler,
                       const TrainOptions& options, int64_t batch_size);

// All ranks of the world meet; collective. "auto" takes what suits the cards.
ProcessGroupPtr make_process_group(const TrainOptions& options, const World& world);

// "auto" becomes nccl on CUDA, shm where all ranks are on one host, else gloo. Throws
// std::invalid_argument when the backend cannot serve the cards, before anybody waits.
std::string resolve_backend(const TrainOptions& options, const World& world);

// at::kFloat or at::kDouble, by options.precision.
at::ScalarType scalar_type(const TrainOptions& options);

}  // namespace lockstep::training
