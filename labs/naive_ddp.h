// Lab 04: what a student writes beside the reducer, to make replicas equal and keep
// them so.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/process_group.h"
#include "labs/registered.h"
#include "labs/student_reducer.h"
#include "registry/registry.h"

namespace lockstep::labs {

using Tensors = std::vector<at::Tensor>;

// Once, before the first step.
using StartEqual = void(const Tensors& parameters, const Tensors& buffers,
                        comm::ProcessGroup& group);
Registry<StartEqual>& starts();

// Before each forward pass.
using BeforeForward = void(const Tensors& buffers, comm::ProcessGroup& group);
Registry<BeforeForward>& before_forwards();

}  // namespace lockstep::labs
