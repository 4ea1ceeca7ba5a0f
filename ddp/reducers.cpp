#include "ddp/reducers.h"

#include <c10/util/Exception.h>

#include <stdexcept>

#include "ddp/bucketed_reducer.h"
#include "device/cuda.h"
#include "hooks/comm_hooks.h"

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

std::vector<at::Tensor> tensors_of(const NamedParameters& parameters) {
  std::vector<at::Tensor> tensors;
  for (const model::NamedParameter& parameter : parameters) {
    tensors.push_back(parameter.tensor);
  }
  return tensors;
}

Registry<ReducerFactory>& reducers() {
  static Registry<ReducerFactory> known("reducer",
                                        {{"naive", &make_naive_reducer},
                                         {"flat", &make_flat_reducer},
                                         {"bucketed", &make_bucketed_reducer},
                                         {"c10d", &make_c10d_reducer},
                                         {"local-sgd", &make_local_reducer},
                                         {"diloco", &make_local_reducer}});
  return known;
}

namespace {

// Hooks are called for buckets whose mean every rank is to have.
void check_comm_hook(const training::DdpOptions& ddp) {
  hooks::comm_hooks().at(ddp.comm_hook);
  if (ddp.comm_hook == "allreduce") return;
  const auto refuse = [&](bool asked, const std::string& option,
                          const std::string& way_out) {
    if (!asked) return;
    throw std::invalid_argument("--comm-hook " + ddp.comm_hook + ": not with " +
                                option + ", which calls no hook; leave it out" +
                                way_out);
  };
  refuse(ddp.reducer != "bucketed", "--reducer " + ddp.reducer,
         ", or try --reducer bucketed");
  refuse(ddp.shard_optimizer, "--shard-optimizer", "");
}

void check_bucket_times(const TrainOptions& options) {
  if (options.ddp.bucket_times_file.empty()) return;
  if (options.ddp.reducer != "bucketed") {
    throw std::invalid_argument("--bucket-times: not with --reducer " +
                                options.ddp.reducer +
                                ", which has no buckets of ours; leave it out, or try "
                                "--reducer bucketed");
  }
  if (options.device == "cuda" ||
      (options.device == "auto" && device::cuda_devices().count > 0)) {
    throw std::invalid_argument(
        "--bucket-times: collectives of CUDA cards end in a queue that no clock here "
        "sees; try --device cpu, or --trace");
  }
}

}  // namespace

void check_reducer(const TrainOptions& options) {
  const training::DdpOptions& ddp = options.ddp;
  reducers().at(ddp.reducer);
  check_averaging(options);
  check_comm_hook(ddp);
  check_bucket_times(options);
  const auto refuse_to_shard = [&](bool asked, const std::string& option) {
    if (!ddp.shard_optimizer || !asked) return;
    throw std::invalid_argument(
        "--shard-optimizer steps parameters as their buckets come together: not with " +
        option + "; leave one of them out");
  };
  refuse_to_shard(ddp.reducer != "bucketed", "--reducer " + ddp.reducer);
  // Whether a parameter is used at all, and so whether it is stepped, is known later.
  refuse_to_shard(ddp.find_unused_parameters, "--find-unused-parameters");
  refuse_to_shard(ddp.static_graph, "--static-graph");
  refuse_to_shard(!ddp.overlap, "--no-overlap");
  // See Note [Batch norm's collectives among the buckets'].
  if (ddp.sync_batch_norm && ddp.find_unused_parameters) {
    throw std::invalid_argument(
        "--sync-batch-norm needs the same graph on all ranks, which "
        "--find-unused-parameters says there is not; leave one of them out");
  }
  if (ddp.reducer == "c10d" && !ddp.overlap) {
    throw std::invalid_argument(
        "--no-overlap: not with --reducer c10d, which launches its buckets itself; "
        "leave it out, or try --reducer bucketed");
  }
  if (ddp.reducer != "naive" && ddp.reducer != "flat") return;
  const auto refuse = [&](bool asked, const std::string& option) {
    if (!asked) return;
    throw std::invalid_argument(option + ": not with --reducer " + ddp.reducer +
                                ", which waits for the end of backward; leave it out, "
                                "or try --reducer bucketed");
  };
  refuse(ddp.find_unused_parameters, "--find-unused-parameters");
  refuse(ddp.static_graph, "--static-graph");
  refuse(!ddp.gradient_as_bucket_view, "--no-gradient-as-bucket-view");
  refuse(!ddp.overlap, "--no-overlap");
}

ReducerPtr make_reducer(const Network& model, comm::ProcessGroup& group,
                        const TrainOptions& options, StepMeter& meter) {
  const NamedParameters trained = model::named_trained_parameters(model);
  TORCH_CHECK(
      !trained.empty(),
      "all parameters are frozen, so there are no gradients to reduce; train at "
      "least one, or try single_gpu");
  ReducerPtr reducer = reducers().at(options.ddp.reducer)(trained, group, options);
  if (averages(options.ddp)) {
    meter.add_observer(make_meetings(trained, group, options, meter));
  }
  if (const auto* bucketed = dynamic_cast<BucketedReducer*>(reducer.get())) {
    meter.add_observer(logging::make_run_observer(bucketed->logger(), options,
                                                  trained.front().tensor.device()));
  }
  return std::make_unique<MeteredReducer>(std::move(reducer), meter);
}

}  // namespace lockstep::ddp
