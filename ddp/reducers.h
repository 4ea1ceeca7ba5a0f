// The reducers by name, from the simplest to the one that overlaps. Each is one file.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/process_group.h"
#include "ddp/reducer.h"
#include "model/networks.h"
#include "training/options.h"
#include "training/registry.h"
#include "training/step_meter.h"

namespace lockstep::ddp {

using Parameters = std::vector<at::Tensor>;

// One all_reduce a parameter, after the backward pass.
ReducerPtr make_naive_reducer(const Parameters&, comm::ProcessGroup&,
                              const training::DdpOptions&);
// All gradients lie in one tensor; one all_reduce for all, after the backward pass.
ReducerPtr make_flat_reducer(const Parameters&, comm::ProcessGroup&,
                             const training::DdpOptions&);
// Gradients lie in buckets; each bucket's all_reduce starts while backward still runs.
ReducerPtr make_bucketed_reducer(const Parameters&, comm::ProcessGroup&,
                                 const training::DdpOptions&);

using ReducerFactory = ReducerPtr(const Parameters&, comm::ProcessGroup&,
                                  const training::DdpOptions&);
training::Registry<ReducerFactory>& reducers();

// Throws std::invalid_argument where the options name none of them.
void check_reducer(const TrainOptions& options);

// The reducer by its name in the options, its calls counted to the meter's phases. The
// group outlives it.
ReducerPtr make_reducer(const Network& model, comm::ProcessGroup& group,
                        const TrainOptions& options, StepMeter& meter);

}  // namespace lockstep::ddp
