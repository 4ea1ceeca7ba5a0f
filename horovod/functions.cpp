// Horovod's calls beside the optimizer: how ranks begin alike.
#include <ATen/Functions.h>

#include <iostream>
#include <stdexcept>

#include "ddp/same_model.h"
#include "device/memory_ledger.h"
#include "files/output_file.h"
#include "horovod/distributed_optimizer.h"

namespace lockstep::horovod {
namespace {

using negotiation::environment_variable;
using negotiation::settings_of;

// One line, whole, whatever the others write.
void warn(const std::string& text) {
  std::cerr << "horovod: warning: " + text + "\n" << std::flush;
}

struct Named {
  std::string name;
  at::Tensor tensor;
};

void broadcast_all(const std::vector<Named>& tensors, Engine& engine) {
  std::vector<Handle> handles;
  for (const Named& one : tensors) {
    handles.push_back(engine.broadcast(one.tensor, one.name, /*root_rank=*/0));
  }
  engine.flush();
  for (Handle& handle : handles) handle.wait();
}

// By an SGD, of which a rank may have it (it resumed) and another not.
at::Tensor& momentum_of(torch::optim::SGD& optimizer, const at::Tensor& parameter) {
  auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
  if (!state) state = std::make_unique<torch::optim::SGDParamState>();
  return static_cast<torch::optim::SGDParamState&>(*state).momentum_buffer();
}

bool has_momentum(torch::optim::SGD& optimizer, const at::Tensor& parameter) {
  const auto found = optimizer.state().find(parameter.unsafeGetTensorImpl());
  return found != optimizer.state().end() &&
         static_cast<torch::optim::SGDParamState&>(*found->second)
             .momentum_buffer()
             .defined();
}

}  // namespace

void check_options(const TrainOptions& options) {
  if (options.horovod.op != "average" && options.horovod.op != "sum") {
    throw std::invalid_argument("--op " + options.horovod.op +
                                ": what becomes of gradients is average or sum");
  }
  if (options.cuda_graph) {
    throw std::invalid_argument(
        "--cuda-graph: Horovod's ranks agree on the host what they reduce, in every "
        "step; leave it out, or try ddp");
  }
  settings_of(options.horovod, environment_variable);
}

std::unique_ptr<Engine> init(const Network& model, comm::ProcessGroup& group,
                             const TrainOptions& options, const Card& card,
                             StepMeter& meter) {
  const device::CategoryScope category(device::Category::buckets);  // messages
  const Settings settings = settings_of(options.horovod, environment_variable);
  if (group.rank() == 0 && !settings.timeline.empty()) {
    files::check_writable(settings.timeline, "HOROVOD_TIMELINE");
  }
  ddp::check_same_model(model, group, options);
  meter.watch(group);
  // The store closes once all are connected.
  const comm::MeetingPlace place = group.take_meeting_place();
  auto controller = std::make_unique<Controller>(
      *place.store, group.rank(), group.size(), place.address,
      std::chrono::seconds(options.timeout_s));
  return std::make_unique<Engine>(group, std::move(controller), settings, card, warn);
}

void broadcast_parameters(const Network& model, Engine& engine) {
  std::vector<Named> tensors;
  for (const auto& parameter : model->named_parameters()) {
    tensors.push_back({"parameter." + parameter.key(), parameter.value()});
  }
  for (const auto& buffer : model->named_buffers()) {
    tensors.push_back({"buffer." + buffer.key(), buffer.value()});
  }
  broadcast_all(tensors, engine);
}

void broadcast_optimizer_state(torch::optim::SGD& optimizer, Engine& engine) {
  auto& options = static_cast<torch::optim::SGDOptions&>(
      optimizer.param_groups().front().options());
  const std::vector<at::Tensor>& parameters = optimizer.param_groups().front().params();
  const at::TensorOptions on_card = parameters.front().options().requires_grad(false);
  // First what there is to be had.
  std::vector<double> numbers = {options.lr(), options.momentum(),
                                 options.weight_decay()};
  for (const at::Tensor& parameter : parameters) {
    numbers.push_back(has_momentum(optimizer, parameter) ? 1 : 0);
  }
  const at::Tensor told = at::tensor(numbers, at::kDouble).to(on_card.device());
  broadcast_all({{"optimizer.options", told}}, engine);
  const at::Tensor first = told.cpu();
  const double* of_first = first.const_data_ptr<double>();
  options.lr(of_first[0]).momentum(of_first[1]).weight_decay(of_first[2]);

  std::vector<Named> momenta;
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (of_first[3 + p] == 0) {
      optimizer.state().erase(parameters[p].unsafeGetTensorImpl());
      continue;
    }
    at::Tensor& momentum = momentum_of(optimizer, parameters[p]);
    if (!momentum.defined()) momentum = at::zeros_like(parameters[p]).detach();
    momenta.push_back({"optimizer.momentum." + std::to_string(p), momentum});
  }
  broadcast_all(momenta, engine);
}

}  // namespace lockstep::horovod
