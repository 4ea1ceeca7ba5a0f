#include "checkpoint/run_state.h"

#include <ATen/Context.h>
#include <torch/utils.h>

#include <array>
#include <cstring>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <unordered_set>
#include <utility>

#include "checkpoint/optimizer_fields.h"
#include "device/memory_ledger.h"

namespace lockstep::checkpoint {
namespace {

// In the order of Dtype.
constexpr std::array<at::ScalarType, 8> kTypes = {at::kDouble,   at::kFloat, at::kHalf,
                                                  at::kBFloat16, at::kLong,  at::kInt,
                                                  at::kByte,     at::kBool};

Dtype dtype_of(const std::string& name, at::ScalarType type) {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes.at(i) == type) return static_cast<Dtype>(i);
  }
  throw std::runtime_error("checkpoints hold no " + std::string(toString(type)) +
                           ", which " + name + " is");
}

void add(HeldTensors& held, const std::string& name, const at::Tensor& tensor) {
  const device::HostScope host;
  const at::Tensor plain =
      tensor.detach().to(at::kCPU).contiguous(at::MemoryFormat::Contiguous);
  held.owners.push_back(plain);
  held.tensors.push_back(
      {name,
       dtype_of(name, plain.scalar_type()),
       plain.sizes().vec(),
       {static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()}});
}

// As Python's state_dict, a parameter that stands there twice has both its names.
std::map<std::string, at::Tensor> state_of(const torch::nn::Module& model) {
  std::map<std::string, at::Tensor> state;
  for (const auto& item : model.named_parameters()) {
    state.emplace(item.key(), item.value());
  }
  for (const auto& item : model.named_buffers()) {
    state.emplace(item.key(), item.value());
  }
  return state;
}

std::map<std::string, at::Tensor> trained(const torch::nn::Module& model) {
  std::map<std::string, at::Tensor> parameters;
  std::unordered_set<const void*> seen;
  for (const auto& item : model.named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.requires_grad()) continue;
    if (seen.insert(parameter.unsafeGetTensorImpl()).second) {
      parameters.emplace(item.key(), parameter);
    }
  }
  return parameters;
}

std::string described(at::ScalarType type, at::IntArrayRef shape) {
  std::ostringstream text;
  text << type << " " << shape;
  return text.str();
}

// `from` into `to`, whatever its layout.
void copy(const TensorBytes& from, const at::Tensor& to, const std::string& file) {
  const at::ScalarType type = kTypes.at(static_cast<size_t>(from.dtype));
  if (type != to.scalar_type() || at::IntArrayRef(from.shape) != to.sizes()) {
    throw std::runtime_error(file + ": tensor " + from.name + " is " +
                             described(type, from.shape) + ", this run's is " +
                             described(to.scalar_type(), to.sizes()) +
                             "; give the --model and --precision it was made with");
  }
  const device::HostScope host;
  const at::NoGradGuard no_grad;
  const at::Tensor plain = at::empty(from.shape, type);
  if (!from.bytes.empty()) {
    std::memcpy(plain.mutable_data_ptr(), from.bytes.data(), from.bytes.size());
  }
  to.copy_(plain);
}

// A field of an optimizer's state, to be written and read.
const at::Tensor& as_tensor(const at::Tensor& field) { return field; }
at::Tensor as_tensor(int64_t field) { return torch::tensor(field, at::kLong); }

void take(at::Tensor& field, const TensorBytes& from, const at::Tensor& parameter,
          const std::string& file) {
  field = at::empty_like(parameter.detach());
  copy(from, field, file);
}

void take(int64_t& field, const TensorBytes& from, const at::Tensor& /*parameter*/,
          const std::string& file) {
  const at::Tensor number = at::empty({}, at::kLong);
  copy(from, number, file);
  field = number.item<int64_t>();
}

std::vector<std::pair<std::string, at::Generator>> generators(
    const torch::nn::Module& model) {
  std::vector<std::pair<std::string, at::Generator>> all = {
      {"cpu", at::globalContext().defaultGenerator(at::kCPU)}};
  const std::vector<at::Tensor> parameters = model.parameters();
  if (!parameters.empty() && parameters.front().is_cuda()) {
    all.emplace_back("cuda",
                     at::globalContext().defaultGenerator(parameters.front().device()));
  }
  return all;
}

}  // namespace

HeldTensors model_tensors(const torch::nn::Module& model) {
  HeldTensors held;
  for (const auto& [name, tensor] : state_of(model)) add(held, name, tensor);
  return held;
}

HeldTensors optimizer_tensors(const torch::nn::Module& model,
                              torch::optim::Optimizer& optimizer) {
  HeldTensors held;
  with_state_of(optimizer, [&]<class State>(const std::unique_ptr<State>&) {
    for (const auto& [name, parameter] : trained(model)) {
      const auto found = optimizer.state().find(parameter.unsafeGetTensorImpl());
      if (found == optimizer.state().end()) continue;
      const std::string prefix = name + ".";
      visit_fields(static_cast<State&>(*found->second),
                   [&](const std::string& field, const auto& value) {
                     const at::Tensor tensor = as_tensor(value);
                     if (tensor.defined()) add(held, prefix + field, tensor);
                   });
    }
  });
  return held;
}

void load_model(const torch::nn::Module& model, const TensorFile& from,
                const std::string& file) {
  std::map<std::string, at::Tensor> missing = state_of(model);
  for (const TensorBytes& tensor : from.tensors) {
    const auto found = missing.find(tensor.name);
    if (found == missing.end()) {
      throw std::runtime_error(file + ": tensor " + tensor.name +
                               " is not of this run's model; give the --model it was "
                               "made with");
    }
    copy(tensor, found->second, file);
    missing.erase(found);
  }
  if (!missing.empty()) {
    throw std::runtime_error(file + ": has no tensor " + missing.begin()->first +
                             "; give the --model it was made with");
  }
}

void load_optimizer(const torch::nn::Module& model, torch::optim::Optimizer& optimizer,
                    const TensorFile& from, const std::string& file) {
  const device::CategoryScope category(device::Category::optimizer_state);
  const std::map<std::string, at::Tensor> parameters = trained(model);
  for (const TensorBytes& tensor : from.tensors) {
    const size_t dot = tensor.name.rfind('.');
    const auto found = parameters.find(tensor.name.substr(0, dot));
    if (dot == std::string::npos || found == parameters.end()) {
      throw std::runtime_error(file + ": tensor " + tensor.name +
                               " is of no parameter that this run trains");
    }
    bool known = false;
    with_state_of(optimizer, [&]<class State>(std::unique_ptr<State> fresh) {
      auto& state = optimizer.state()[found->second.unsafeGetTensorImpl()];
      if (!state) state = std::move(fresh);
      visit_fields(static_cast<State&>(*state),
                   [&](const std::string& field, auto& value) {
                     if (tensor.name.substr(dot + 1) != field) return;
                     known = true;
                     take(value, tensor, found->second, file);
                   });
    });
    if (known) continue;
    throw std::runtime_error(file + ": tensor " + tensor.name +
                             " is of another optimizer; give the one it was made with");
  }
}

GeneratorStates generator_states(const torch::nn::Module& model) {
  const device::HostScope host;
  GeneratorStates states;
  for (auto& [name, generator] : generators(model)) {
    const std::lock_guard lock(generator.mutex());
    const at::Tensor state = generator.get_state();
    states[name] = {static_cast<const char*>(state.const_data_ptr()), state.nbytes()};
  }
  return states;
}

void set_generators(const torch::nn::Module& model, const GeneratorStates& states) {
  const device::HostScope host;
  for (auto& [name, generator] : generators(model)) {
    const auto found = states.find(name);
    if (found == states.end()) continue;
    const at::Tensor state =
        at::empty({static_cast<int64_t>(found->second.size())}, at::kByte);
    std::memcpy(state.mutable_data_ptr(), found->second.data(), found->second.size());
    const std::lock_guard lock(generator.mutex());
    generator.set_state(state);
  }
}

}  // namespace lockstep::checkpoint
