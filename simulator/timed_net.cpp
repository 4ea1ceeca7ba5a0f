#include "simulator/timed_net.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <string>
#include <utility>

#include "simulator/simulation.h"

namespace lockstep::simulator {
namespace {

void takes(const std::string& name, double seconds) {
  if (Rank* const rank = this_rank()) rank->compute(name, seconds);
}

struct TimedStep : torch::autograd::Function<TimedStep> {
  using Context = torch::autograd::AutogradContext;

  static at::Tensor forward(Context* context, const at::Tensor& x,
                            const at::Tensor& parameter, const std::string& name,
                            const TimedLayer& layer) {
    takes("forward " + name, layer.forward_s);
    const at::Tensor mean = parameter.mean();
    context->save_for_backward({x, mean});
    context->saved_data["name"] = name;
    context->saved_data["seconds"] = layer.backward_s;
    context->saved_data["sizes"] = parameter.sizes().vec();
    return x * mean;
  }

  static torch::autograd::variable_list backward(
      Context* context, const torch::autograd::variable_list& gradients) {
    takes("backward " + context->saved_data["name"].toStringRef(),
          context->saved_data["seconds"].toDouble());
    const auto saved = context->get_saved_variables();
    const auto sizes = context->saved_data["sizes"].toIntVector();
    const at::Tensor of_mean = (gradients[0] * saved[0]).sum();
    const auto elements = static_cast<double>(c10::multiply_integers(sizes));
    return {
        gradients[0] * saved[1], (of_mean / elements).expand(sizes).clone(), {}, {}};
  }
};

class TimedLayerImpl : public torch::nn::Module {
 public:
  TimedLayerImpl(std::string name, const TimedLayer& layer, const at::Tensor& values)
      : name_(std::move(name)),
        layer_(layer),
        weight_(register_parameter("weight", values)) {}
  at::Tensor forward(const at::Tensor& x) {
    return TimedStep::apply(x, weight_, name_, layer_);
  }

 private:
  const std::string name_;
  const TimedLayer layer_;
  at::Tensor weight_;
};

}  // namespace

Network timed_net(const std::vector<TimedLayer>& layers, uint64_t seed) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  Network network;
  for (size_t i = 0; i < layers.size(); ++i) {
    // About 1: what goes through many layers stays as large as it was.
    const at::Tensor values = at::randn({layers[i].elements}, random).div_(8).add_(1);
    network->push_back(std::make_shared<TimedLayerImpl>("layer " + std::to_string(i),
                                                        layers[i], values));
  }
  return network;
}

}  // namespace lockstep::simulator
