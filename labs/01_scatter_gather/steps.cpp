// The student's scatter and gather as a step of DataParallel: the rest is the
// product's.
#include "data_parallel/steps.h"

#include <ATen/core/grad_mode.h>

#include <stdexcept>

#include "data_parallel/reduce.h"
#include "data_parallel/replicas.h"
#include "labs/scatter_gather.h"

namespace lockstep::labs {
namespace {

class StudentSteps final : public data_parallel::Steps {
 public:
  StudentSteps(const Network& model, data_parallel::Forward forward,
               const std::vector<Card>& cards)
      : cards_(cards),
        forward_(std::move(forward)),
        threads_(cards_),
        replicas_(model.ptr(), cards_, /*every_step=*/false, threads_) {}

  Tensors forward(const Tensors& inputs) override {
    const Tensors pieces = scatter(inputs.at(0));
    replicas_.prepare(pieces.size());
    threads_.run(pieces.size(), [&](size_t card) { replicas_.refresh(card); });
    outputs_.assign(pieces.size(), at::Tensor());
    threads_.run(pieces.size(), [&](size_t card) {
      outputs_[card] = forward_(replicas_[card], {pieces[card]}).at(0);
    });
    return {student_.gather(outputs_, cards_.front()).requires_grad_()};
  }

  // The gradient is cut as the logits were joined: the same rows, so the same pieces.
  void backward(const Tensors& output_grads) override {
    const Tensors pieces = scatter(output_grads.at(0));
    const Tensors outputs = std::exchange(outputs_, {});
    const auto reduce = data_parallel::reductions().at("serial");
    data_parallel::Replicated replicated(outputs.size(), cards_, threads_);
    threads_.run(outputs.size(), [&](size_t card) {
      outputs[card].backward(pieces.at(card));
      replicated.parameters[card] = replicas_.trained(card);
      const at::NoGradGuard no_grad;
      reduce(card, replicated);
    });
    replicas_.finish_step();
  }

 private:
  Tensors scatter(const at::Tensor& whole) const {
    Tensors pieces = student_.scatter(whole, cards_);
    if (pieces.empty() || pieces.size() > cards_.size()) {
      throw std::runtime_error("scatter made " + std::to_string(pieces.size()) +
                               " pieces for " + std::to_string(cards_.size()) +
                               " cards");
    }
    return pieces;
  }

  ScatterGather student_ = scatter_gathers().at("student")();
  std::vector<Card> cards_;
  data_parallel::Forward forward_;
  data_parallel::CardThreads threads_;
  data_parallel::Replicas replicas_;
  Tensors outputs_;  // of the last forward, with their history
};

}  // namespace

Registry<ScatterGather()>& scatter_gathers() {
  static Registry<ScatterGather()> known("scatter and gather", {});
  return known;
}

void add_student_steps() {
  data_parallel::all_steps().add(
      "student",
      [](const Network& model, data_parallel::Forward forward,
         const std::vector<Card>& cards, const training::DataParallelOptions&,
         StepMeter&) -> data_parallel::StepsPtr {
        return std::make_unique<StudentSteps>(model, std::move(forward), cards);
      });
}

}  // namespace lockstep::labs
