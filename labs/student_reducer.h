// What a student's reducer is given, and how it comes by its name: labs 04 to 06. The
// reducer itself is ddp/reducer.h's, so that the real training runs on it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/process_group.h"
#include "ddp/reducer.h"

namespace lockstep::labs {

struct ReducerOptions {
  // Backward passes whose gradients are added up before the ranks' are averaged once.
  int64_t accumulate = 1;
  // Of labs 05 and 06.
  int64_t bucket_cap_bytes = 0;
};

// `parameters`: those that are trained, in the order of registration, first layer
// first; the same on every rank. The group outlives the reducer.
using MakeReducer = ddp::ReducerPtr(const std::vector<at::Tensor>& parameters,
                                    comm::ProcessGroup& group,
                                    const ReducerOptions& options);

// The one line at the end of a student's file: from then on ddp::reducers() knows it.
//
//   const labs::RegisteredReducer reducer("student", &make_reducer);
struct RegisteredReducer {
  RegisteredReducer(const std::string& name, std::function<MakeReducer> make);
};

}  // namespace lockstep::labs
