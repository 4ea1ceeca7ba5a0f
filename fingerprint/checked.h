// The debug level `detail`: a group whose ranks show each other, before each
// collective, that they mean the same one. Where they do not, or one does not come, all
// have an error at once that names who differs and in what, instead of a hang or of
// wrong sums.
//
// A collective then starts when all ranks have come to it: what overlapped overlaps
// less. Messages from one rank to another are not looked at.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "comm/process_group.h"

namespace lockstep::fingerprint {

// Whether it is asked for: by --debug, or where that is "off" by PyTorch's variable
// TORCH_DISTRIBUTED_DEBUG. Its OFF and INFO ask for nothing here; any other word throws
// std::invalid_argument, as PyTorch refuses it.
bool wants_detail(const std::string& option);

// The same group, checked. All ranks do this; over the store where they met, or one
// like it. A rank that does not come for so long is named. The first group is not to be
// used beside it.
std::shared_ptr<comm::ProcessGroup> checked(comm::ProcessGroup& group,
                                            c10::intrusive_ptr<c10d::Store> store,
                                            std::chrono::milliseconds timeout);

}  // namespace lockstep::fingerprint
