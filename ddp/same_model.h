// That all ranks train the same model, and by options of which the same collectives
// follow, asked before anything of it is exchanged: other ranks would hang in a
// collective, or add what does not belong together, or be ended by gloo.
// After `_verify_params_across_processes` (torch/csrc/distributed/c10d/reducer.cpp),
// which compares shapes alone and says so on one side.
//
// Not what a rank may have for itself: its batches, its files.
#pragma once

#include "comm/process_group.h"
#include "model/networks.h"
#include "training/options.h"

namespace lockstep::ddp {

// Collective. Names, types, shapes and what is trained of parameters and buffers must
// be rank 0's; else every rank throws the same std::runtime_error, naming the first
// rank that differs and where. And all begin after the same step, where they resume,
// and are told the same of DDP.
void check_same_model(const Network& model, comm::ProcessGroup& group,
                      const TrainOptions& options = {});

}  // namespace lockstep::ddp
