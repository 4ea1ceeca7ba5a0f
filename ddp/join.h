// Uneven inputs: ranks that have run out of batches take part in the collectives of the
// others, without a gradient of their own, until all are through. After
// torch/distributed/algorithms/join.py, without its context manager: a loop says where
// it is.
//
//   for (const Batch& batch : loader) {
//     join.batch_begins();
//     reducer.zero_grad() ... reducer.finalize(); optimizer.step();
//   }
//   while (join.shadow()) optimizer.step();
//
// A rank that shadows gets the others' mean gradients and takes the same steps, so that
// parameters and the optimizer's state never part: PyTorch sends the parameters when
// all are through, and leaves momentum behind. Nothing is sent by a destructor: a rank
// whose loop threw is as lost to the others as in any other loop.
//
// The program's --join needs none of this: its sampler deals out shares that differ by
// one sample, and a rank that has none gets an empty batch (data/sampler.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "comm/process_group.h"
#include "ddp/bucketed_reducer.h"

namespace lockstep::ddp {

struct JoinOptions {
  // A gradient is the ranks' sum divided by the size of the world; else by how many had
  // a batch. As in PyTorch, and with its default: late batches then count as much as
  // early ones.
  bool divide_by_initial_world_size = true;

  // Go before each pass from a rank that has a batch to all, and once more in the end:
  // in the place of ReplicaSync::broadcast_buffers().
  std::vector<at::Tensor> buffers;

  // The output for a batch without samples. To be given where a forward pass itself
  // talks to the other ranks (synchronised batch norm): a rank that shadows then goes
  // through the model with nothing.
  std::function<at::Tensor()> forward_of_nothing;
};

class Join {
 public:
  // Both outlive it. Throws c10::Error where passes are accumulated, of a static graph
  // and of a sharded optimizer.
  Join(BucketedReducer& reducer, comm::ProcessGroup& group, JoinOptions options);

  // This rank has one more batch; before zero_grad(). Collective.
  void batch_begins();

  // This rank has no batch any more. While others have: takes part in their pass, and
  // leaves this rank with the gradients that they have. False when all are through:
  // buffers are then those of a rank that took part in the last pass, and the next
  // epoch may begin. Collective.
  bool shadow();

 private:
  bool meet(bool has_batch);

  BucketedReducer& reducer_;
  comm::ProcessGroup& group_;
  const JoinOptions options_;
  int leader_ = 0;  // the first of those that had a batch in the last pass
};

}  // namespace lockstep::ddp
