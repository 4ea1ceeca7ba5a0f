#include "data_parallel/steps.h"

#include <stdexcept>

#include "data_parallel/data_parallel.h"
#include "data_parallel/libtorch_module.h"
#include "device/cuda.h"
#include "training/catalog.h"

namespace lockstep::data_parallel {
namespace {

using training::DataParallelOptions;
using training::Phase;

StepsPtr make_ours(const Network& model, Forward forward,
                   const std::vector<Card>& cards, const DataParallelOptions& options,
                   StepMeter& meter) {
  return std::make_unique<DataParallel>(model.ptr(), std::move(forward), cards, options,
                                        meter);
}

// LibTorch scatters, replicates and gathers inside its forward, and reduces inside
// autograd.
class LibTorchSteps final : public Steps {
 public:
  LibTorchSteps(const Network& model, const std::vector<Card>& cards, StepMeter& meter)
      : model_(model), meter_(meter) {
    for (const Card& card : cards) devices_.push_back(card.torch_device());
  }

  Tensors forward(const Tensors& inputs) override {
    auto* run = device::cuda_function<decltype(lockstep_libtorch_data_parallel)>(
        "lockstep_libtorch_data_parallel");
    output_ = run(model_, inputs.at(0), devices_);
    return {output_.detach().requires_grad_(output_.requires_grad())};
  }

  void backward(const Tensors& output_grads) override {
    meter_.enter(Phase::backward);
    std::exchange(output_, at::Tensor()).backward(output_grads.at(0));
  }

 private:
  Network model_;
  StepMeter& meter_;
  std::vector<at::Device> devices_;
  at::Tensor output_;
};

void check_libtorchs(const std::vector<Card>& cards,
                     const DataParallelOptions& options) {
  if (cards.front().emulated()) {
    throw std::invalid_argument(
        "--dp-steps libtorch: torch::nn::parallel::data_parallel knows CUDA cards "
        "alone; try --device cuda");
  }
  const DataParallelOptions usual;
  if (options.reduce != usual.reduce || options.replicate != usual.replicate ||
      options.loss != usual.loss || options.primary_share != usual.primary_share ||
      options.output_device != usual.output_device) {
    throw std::invalid_argument(
        "--dp-steps libtorch has one way of its own; leave out the other options of "
        "DataParallel");
  }
}

StepsPtr make_libtorchs(const Network& model, Forward /*forward*/,
                        const std::vector<Card>& cards,
                        const DataParallelOptions& options, StepMeter& meter) {
  check_libtorchs(cards, options);
  return std::make_unique<LibTorchSteps>(model, cards, meter);
}

}  // namespace

Tensors forward_network(torch::nn::Module& replica, const Tensors& inputs) {
  return {dynamic_cast<torch::nn::SequentialImpl&>(replica).forward(inputs.at(0))};
}

Registry<StepsPtr(const Network&, Forward, const std::vector<Card>&,
                  const DataParallelOptions&, StepMeter&)>&
all_steps() {
  static Registry<StepsPtr(const Network&, Forward, const std::vector<Card>&,
                           const DataParallelOptions&, StepMeter&)>
      known("dp-steps", {{"lockstep", &make_ours}, {"libtorch", &make_libtorchs}});
  return known;
}

void check_steps(const TrainOptions& options) {
  if (options.cuda_graph) {
    throw std::invalid_argument(
        "--cuda-graph records what one card does, and DataParallel's step is several "
        "cards'; leave it out, or try ddp");
  }
  const std::vector<Card> cards = training::make_cards(options, options.gpus);
  const DataParallelOptions& asked = options.data_parallel;
  all_steps().at(asked.steps);
  find_output_card(cards, asked.output_device);
  resolve_reduction(asked.reduce, cards.front());
  if (asked.steps == "libtorch") check_libtorchs(cards, asked);
}

StepsPtr make_steps(const Network& model, Forward forward,
                    const std::vector<Card>& cards, const DataParallelOptions& options,
                    StepMeter& meter) {
  return all_steps().at(options.steps)(model, std::move(forward), cards, options,
                                       meter);
}

}  // namespace lockstep::data_parallel
