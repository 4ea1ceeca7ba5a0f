#include "data_parallel/loss_place.h"

#include "data_parallel/data_parallel.h"
#include "device/memory_ledger.h"
#include "device/stage.h"
#include "training/evaluate.h"

namespace lockstep::data_parallel {
namespace {

using device::Category;

// Backward runs on the primary card's thread; from the loss to the logits it works on
// the output card's memory. Not on CUDA: there it runs on the device's own thread of
// autograd, which would go on charging the primary card in later steps
// (device/cuda_ledger.h knows whose device it is).
void charge_backward_to(const Card& output, const at::Tensor& loss,
                        const at::Tensor& logits, const Card& primary) {
  if (!output.emulated() || output.index() == primary.index()) return;
  if (!loss.requires_grad()) return;
  loss.register_hook([card = output.index()](const at::Tensor& /*gradient*/) {
    device::set_account({card, Category::outputs});
  });
  logits.register_hook([card = primary.index()](const at::Tensor& /*gradient*/) {
    device::set_account({card, Category::activations});
  });
}

}  // namespace

LossPlace::LossPlace(const TrainOptions& options, const std::vector<Card>& cards,
                     StepMeter& meter)
    : in_replicas_(options.data_parallel.loss == "replica"),
      primary_(cards.front()),
      output_(find_output_card(cards, options.data_parallel.output_device)),
      meter_(meter) {}

Forward LossPlace::forward() const {
  if (!in_replicas_) return &forward_network;
  return [](torch::nn::Module& replica, const Tensors& inputs) {
    const at::Tensor logits = forward_network(replica, inputs).front();
    const at::Tensor& labels = inputs.at(1);
    // Its rows count, for not all replicas have as many.
    return Tensors{training::cross_entropy(logits, labels) * labels.size(0)};
  };
}

Tensors LossPlace::inputs(const at::Tensor& images, const at::Tensor& labels) const {
  return in_replicas_ ? Tensors{images, labels} : Tensors{images};
}

at::Tensor LossPlace::operator()(const at::Tensor& gathered,
                                 const at::Tensor& labels) const {
  at::Tensor loss;
  {
    const device::AccountScope account({output_.index(), Category::outputs});
    if (in_replicas_) {
      const device::StageScope stage("loss");
      loss = gathered.sum() / labels.size(0);
    } else {
      const bool here = output_.index() == primary_.index();
      loss = training::cross_entropy(gathered, here ? labels : output_.put(labels));
      charge_backward_to(output_, loss, gathered, primary_);
    }
  }
  meter_.enter(training::Phase::backward);
  return loss;
}

}  // namespace lockstep::data_parallel
