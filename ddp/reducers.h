// The reducers by name, from the simplest to the one that overlaps. Each is one file.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "comm/process_group.h"
#include "ddp/reducer.h"
#include "model/networks.h"
#include "registry/registry.h"
#include "training/options.h"
#include "training/step_meter.h"

namespace c10d {
class ProcessGroup;
}

namespace lockstep::ddp {

// What is trained; the names are for errors.
using NamedParameters = std::vector<model::NamedParameter>;
std::vector<at::Tensor> tensors_of(const NamedParameters& parameters);

// One all_reduce a parameter, after the backward pass.
ReducerPtr make_naive_reducer(const NamedParameters&, comm::ProcessGroup&,
                              const TrainOptions&);
// All gradients lie in one tensor; one all_reduce for all, after the backward pass.
ReducerPtr make_flat_reducer(const NamedParameters&, comm::ProcessGroup&,
                             const TrainOptions&);
// Gradients lie in buckets; each bucket's all_reduce starts while backward still runs.
ReducerPtr make_bucketed_reducer(const NamedParameters&, comm::ProcessGroup&,
                                 const TrainOptions&);
// LibTorch's own bucketed one, the one behind Python's DistributedDataParallel: an
// oracle, and a peer to be measured against.
ReducerPtr make_c10d_reducer(const NamedParameters&, comm::ProcessGroup&,
                             const TrainOptions&);
// "local-sgd" and "diloco": gradients stay their rank's.
ReducerPtr make_local_reducer(const NamedParameters&, comm::ProcessGroup&,
                              const TrainOptions&);
bool averages(const training::DdpOptions& ddp);
// What brings the parameters together instead (averaging/), for the meter to tell of
// steps. The parameters are equal on all ranks.
std::shared_ptr<training::StepObserver> make_meetings(const NamedParameters&,
                                                      comm::ProcessGroup&,
                                                      const TrainOptions&, StepMeter&);
void check_averaging(const TrainOptions& options);

// The group as c10d's own classes take it, for tensors on `device`.
c10::intrusive_ptr<c10d::ProcessGroup> as_c10d_group(comm::ProcessGroup& group,
                                                     at::Device device);

using ReducerFactory = ReducerPtr(const NamedParameters&, comm::ProcessGroup&,
                                  const TrainOptions&);
Registry<ReducerFactory>& reducers();

// Throws std::invalid_argument where the options name none of them, or ask it for what
// it does not do.
void check_reducer(const TrainOptions& options);

// The reducer by its name in the options, its calls counted to the meter's phases. The
// group outlives it.
ReducerPtr make_reducer(const Network& model, comm::ProcessGroup& group,
                        const TrainOptions& options, StepMeter& meter);

}  // namespace lockstep::ddp
