#include "horovod/distributed_optimizer.h"

#include <stdexcept>
#include <utility>

#include "device/memory_ledger.h"

namespace lockstep::horovod {

using training::Phase;
using training::PhaseScope;

DistributedOptimizer::DistributedOptimizer(const Network& model, Engine& engine,
                                           const TrainOptions& options,
                                           StepMeter& meter)
    : engine_(engine),
      meter_(meter),
      op_(options.horovod.op == "sum" ? ReduceOp::sum : ReduceOp::average),
      fp16_(options.horovod.fp16_allreduce),
      parameters_(model::trained_parameters(model)),
      passes_(options.accumulate),
      submitted_(parameters_.size()),
      optimizer_(model, options, meter),
      hooks_(parameters_, [this](size_t parameter, bool alone) {
        gradient_came(parameter, alone);
      }) {
  for (const model::NamedParameter& parameter :
       model::named_trained_parameters(model)) {
    names_.push_back("gradient." + parameter.name);
  }
}

void DistributedOptimizer::zero_grad() {
  for (size_t p = 0; p < submitted_.size(); ++p) {
    if (!submitted_[p].handle.valid()) continue;
    throw std::logic_error(names_[p] +
                           " is under way and would be lost; call step() between "
                           "backward() and zero_grad()");
  }
  optimizer_.zero_grad();
}

// On the thread of the backward pass, which on the CPU is the loop's own.
void DistributedOptimizer::gradient_came(size_t parameter, bool alone) {
  if (!passes_.last()) return;
  if (submitted_[parameter].handle.valid()) {
    throw std::logic_error(
        names_[parameter] +
        " came a second time before step(); for gradients of several "
        "backward passes give --backward-passes-per-step");
  }
  // It changes while backward goes on, which may still need what lies there.
  if (!alone && !fp16_) {
    at::Tensor& gradient = parameters_[parameter].mutable_grad();
    gradient = gradient.clone();
  }
  submit(parameter);
}

void DistributedOptimizer::submit(size_t parameter) {
  const at::NoGradGuard no_grad;
  const at::Tensor& gradient = parameters_[parameter].grad();
  Submitted& submitted = submitted_[parameter];
  if (fp16_) {
    const device::CategoryScope category(device::Category::buckets);
    submitted.compressed = gradient.to(at::kHalf);
  }
  submitted.handle = engine_.allreduce(fp16_ ? submitted.compressed : gradient,
                                       names_[parameter], op_);
}

void DistributedOptimizer::synchronize() {
  const PhaseScope phase(meter_, Phase::exposed_comm);
  const at::NoGradGuard no_grad;
  // See Note [A gradient that does not come].
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (submitted_[p].handle.valid()) continue;
    at::Tensor& gradient = parameters_[p].mutable_grad();
    if (!gradient.defined()) gradient = at::zeros_like(parameters_[p]);
    submit(p);
  }
  engine_.flush();
  for (size_t p = 0; p < parameters_.size(); ++p) {
    Submitted submitted = std::exchange(submitted_[p], {});
    submitted.handle.wait();
    if (fp16_) parameters_[p].mutable_grad().copy_(submitted.compressed);
  }
}

void DistributedOptimizer::step() {
  const bool reduces = passes_.last();
  if (reduces) synchronize();
  passes_.end(reduces);
  optimizer_.step();
}

}  // namespace lockstep::horovod
