// That all ranks train the same model, asked before anything of it is exchanged: ranks
// of different models would hang in a collective, or add what does not belong together.
// After `_verify_params_across_processes` (torch/csrc/distributed/c10d/reducer.cpp),
// which compares shapes alone and says so on one side.
#pragma once

#include "comm/process_group.h"
#include "model/networks.h"

namespace lockstep::ddp {

// Collective. Names, types, shapes and what is trained of parameters and buffers must
// be rank 0's; else every rank throws the same std::runtime_error, naming the first
// rank that differs and where. And all begin after the same step, where they resume.
void check_same_model(const Network& model, comm::ProcessGroup& group,
                      int64_t first_step = 0);

}  // namespace lockstep::ddp
