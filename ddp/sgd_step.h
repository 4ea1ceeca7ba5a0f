// SGD's step on plain memory, for whoever holds the numbers in cache already: the
// sharded bucket steps each piece of the parameters as its mean gradient is made. One
// pass, where LibTorch's optimizer makes one an operation.
#pragma once

#include <c10/core/ScalarType.h>

#include "comm/process_group.h"
#include "training/options.h"

namespace lockstep::ddp {

// With the options' learning rate, momentum and weight decay, rounded as
// torch/csrc/api/src/optim/sgd.cpp rounds. The state is the momentum (null: none). The
// mean is of a sum of gradients over options.accumulate passes.
// For fp32 and fp64; throws c10::Error for other types.
comm::ShardedUpdate::Step sgd_step(at::ScalarType type, const TrainOptions& options);

}  // namespace lockstep::ddp
