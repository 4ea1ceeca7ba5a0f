// Keeps the ranks' replicas equal in what no gradient reaches: the parameters they
// start with, and the buffers (batch norm's running statistics) that each forward pass
// changes: by sending rank 0's, or, with --sync-batch-norm, by having batch norm itself
// work over all ranks' images. Then buffers are equal anyway, and none is sent.
//
// Note [Batch norm's collectives among the buckets']
// A synchronised layer's two collectives (model/sync_batch_norm.h) are on the reducer's
// group, and the second comes between two buckets. They match across ranks as buckets
// do, by their place in the order of calls: layers and gradients come in the same order
// wherever the graph is the same, and buckets are launched by gradients that came. Not
// so with --find-unused-parameters, where a rank's own graph launches buckets before
// its backward pass has begun: check_reducer() refuses that.
#pragma once

#include "comm/process_group.h"
#include "model/networks.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace lockstep::ddp {

class ReplicaSync {
 public:
  // Every rank takes rank 0's parameters and buffers, and the ranks report together
  // from here on. Collective. Throws std::runtime_error where ranks train different
  // models.
  ReplicaSync(const Network& model, comm::ProcessGroup& group,
              const TrainOptions& options, StepMeter& meter);

  // Before a forward pass, and after the last step: every rank takes rank 0's buffers.
  // Collective.
  void broadcast_buffers();

 private:
  comm::ProcessGroup& group_;
  StepMeter& meter_;
  std::vector<at::Tensor> buffers_;  // none where the options leave them alone
  // Of ranks that train on their own for some steps (local SGD): a message a step is
  // what they do without, and rank 0's statistics never depend on the others'.
  bool only_at_the_end_ = false;
};

}  // namespace lockstep::ddp
