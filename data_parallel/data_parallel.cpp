#include "data_parallel/data_parallel.h"

#include <torch/csrc/autograd/autograd.h>

#include "data_parallel/scatter_gather.h"

namespace lockstep::data_parallel {

using device::Category;
using training::Phase;

DataParallel::DataParallel(const Network& model, const std::vector<Card>& cards,
                           StepMeter& meter)
    : cards_(cards), meter_(meter), replicas_(model, cards), threads_(cards) {}

at::Tensor DataParallel::forward(const at::Tensor& images) {
  meter_.enter(Phase::exposed_comm);
  const std::vector<at::Tensor> inputs = scatter(images, cards_, Category::input);
  replicas_.refresh();

  meter_.enter(Phase::forward);
  outputs_.assign(inputs.size(), at::Tensor());
  threads_.run(inputs.size(), [&](size_t card) {
    outputs_[card] = replicas_[card]->forward(inputs[card]);
  });

  meter_.enter(Phase::exposed_comm);
  at::Tensor logits = gather(outputs_, cards_.front());
  meter_.enter(Phase::forward);
  return logits.requires_grad_();
}

void DataParallel::backward(const at::Tensor& logits_grad) {
  meter_.enter(Phase::exposed_comm);
  std::vector<at::Tensor> grads =
      scatter(logits_grad, cards_, Category::gathered_outputs);

  meter_.enter(Phase::backward);
  threads_.run(outputs_.size(), [&](size_t card) {
    torch::autograd::backward({outputs_[card]}, {grads[card]});
    outputs_[card].reset();
    grads[card].reset();
  });

  meter_.enter(Phase::exposed_comm);
  replicas_.reduce_gradients();
}

}  // namespace lockstep::data_parallel
