#include "ddp/reducers.h"

namespace lockstep::ddp {
namespace {

using training::Phase;
using training::PhaseScope;

// Any reducer, with the meter told what it is doing: no reducer needs to know of it.
class MeteredReducer final : public Reducer {
 public:
  MeteredReducer(ReducerPtr reducer, StepMeter& meter)
      : reducer_(std::move(reducer)), meter_(meter) {}

  void zero_grad() override {
    meter_.enter(Phase::optimizer);
    reducer_->zero_grad();
    meter_.enter(Phase::forward);
  }
  void prepare(const at::Tensor& logits) override { reducer_->prepare(logits); }
  void finalize() override {
    const PhaseScope phase(meter_, Phase::exposed_comm);
    reducer_->finalize();
  }

 private:
  ReducerPtr reducer_;
  StepMeter& meter_;
};

}  // namespace

training::Registry<ReducerFactory>& reducers() {
  static training::Registry<ReducerFactory> known(
      "reducer", {{"naive", &make_naive_reducer},
                  {"flat", &make_flat_reducer},
                  {"bucketed", &make_bucketed_reducer}});
  return known;
}

void check_reducer(const TrainOptions& options) { reducers().at(options.ddp.reducer); }

ReducerPtr make_reducer(const Network& model, comm::ProcessGroup& group,
                        const TrainOptions& options, StepMeter& meter) {
  const Parameters trained = model::trained_parameters(model);
  const auto& factory = reducers().at(options.ddp.reducer);
  return std::make_unique<MeteredReducer>(factory(trained, group, options.ddp), meter);
}

}  // namespace lockstep::ddp
