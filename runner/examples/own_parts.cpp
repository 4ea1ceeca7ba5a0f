// A model, a hook and a model wrapper of one's own for `train`, named by
// own_parts.toml.
#include <torch/nn.h>

#include <iostream>

#include "ddp/reducers.h"
#include "run_hooks/hook.h"
#include "runner/model_wrappers.h"
#include "training/catalog.h"

using namespace lockstep;
namespace {

Network tiny(const model::Inputs& inputs) {
  const int64_t hidden = inputs.arguments.integer("hidden", 16, 1, 4096);
  return Network(torch::nn::Flatten(),
                 torch::nn::Linear(inputs.height * inputs.width, hidden),
                 torch::nn::ReLU(), torch::nn::Linear(hidden, inputs.classes));
}

struct WeightNormHook final : run_hooks::Hook {
  void finished(const torch::nn::Module& model) override {
    const auto all = torch::nn::utils::parameters_to_vector(model.parameters());
    if (run->speaks) std::cerr << "weight norm: " << all.norm().item<double>() << "\n";
  }
};

// One gradient after the other, once backward has ended.
struct OneByOne final : ddp::Reducer {
  OneByOne(const ddp::NamedParameters& all, comm::ProcessGroup& group)
      : tensors(ddp::tensors_of(all)), group(group) {}
  void zero_grad() override {
    for (at::Tensor& one : tensors) one.mutable_grad().reset();
  }
  void prepare(const at::Tensor&) override {}
  void finalize() override {
    for (at::Tensor& one : tensors) group.all_reduce_mean(one.grad()).wait();
  }
  std::vector<at::Tensor> tensors;
  comm::ProcessGroup& group;
};

runner::Way wrap(const config::Section& config, training::TrainOptions& options) {
  options.ddp.reducer = "one-by-one";
  return runner::distributed_data_parallel(config, options);
}

}  // namespace

extern "C" void register_parts() {
  training::models().add("mine.tiny", &tiny);
  ddp::reducers().add("one-by-one", [](const auto& all, auto& group, const auto&) {
    return std::make_unique<OneByOne>(all, group);
  });
  runner::model_wrappers().add("mine.CustomDistributedDataParallel", &wrap);
  run_hooks::hooks().add("mine.WeightNormHook", [](const auto&, const auto&) {
    return std::make_shared<WeightNormHook>();
  });
}
