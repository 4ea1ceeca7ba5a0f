#include "ddp/replica_sync.h"

#include "ddp/same_model.h"

namespace lockstep::ddp {

ReplicaSync::ReplicaSync(const Network& model, comm::ProcessGroup& group,
                         const TrainOptions& options, StepMeter& meter)
    : group_(group), meter_(meter) {
  const device::CategoryScope category(device::Category::buckets);  // messages
  check_same_model(model, group, options.start.step);
  meter.watch(group);
  std::vector<at::Tensor> everything = model->parameters();
  const std::vector<at::Tensor> buffers = model->buffers();
  everything.insert(everything.end(), buffers.begin(), buffers.end());
  group.broadcast(everything);
  if (options.ddp.broadcast_buffers) buffers_ = buffers;
  only_at_the_end_ = options.ddp.local_sgd > 0;
}

void ReplicaSync::broadcast_buffers() {
  if (buffers_.empty() || (only_at_the_end_ && !meter_.done())) return;
  const training::PhaseScope phase(meter_, training::Phase::exposed_comm);
  group_.broadcast(buffers_);
}

}  // namespace lockstep::ddp
