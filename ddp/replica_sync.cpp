#include "ddp/replica_sync.h"

#include <optional>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "ddp/same_model.h"
#include "model/sync_batch_norm.h"

namespace lockstep::ddp {
namespace {

using training::Phase;
using training::PhaseScope;

// On a CUDA card nobody waits here, and a backward pass is on a thread of its own.
void sum_over_ranks(const at::Tensor& sums, comm::ProcessGroup& group,
                    StepMeter& meter) {
  std::optional<PhaseScope> phase;
  if (sums.is_cpu()) phase.emplace(meter, Phase::exposed_comm);
  group.all_reduce(sums).wait();
}

}  // namespace

ReplicaSync::ReplicaSync(const Network& model, comm::ProcessGroup& group,
                         const TrainOptions& options, StepMeter& meter)
    : group_(group), meter_(meter) {
  const device::CategoryScope category(device::Category::buckets);  // messages
  check_same_model(model, group, options);
  // Nobody connects beside the group: the store closes, and where the backend needs no
  // port nothing listens any more.
  group.met_over(nullptr, "");
  meter.watch(group);
  std::vector<at::Tensor> everything = model->parameters();
  const std::vector<at::Tensor> buffers = model->buffers();
  everything.insert(everything.end(), buffers.begin(), buffers.end());
  group.broadcast(everything);
  if (options.ddp.sync_batch_norm) {
    model::sync_batch_norms(*model, [&group, &meter](const at::Tensor& sums) {
      sum_over_ranks(sums, group, meter);
    });
  } else if (options.ddp.broadcast_buffers) {
    buffers_ = buffers;
  }
  only_at_the_end_ = options.ddp.local_sgd > 0;
}

void ReplicaSync::broadcast_buffers() {
  if (buffers_.empty() || (only_at_the_end_ && !meter_.done())) return;
  const PhaseScope phase(meter_, Phase::exposed_comm);
  group_.broadcast(buffers_);
}

}  // namespace lockstep::ddp
