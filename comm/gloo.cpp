#include "comm/gloo.h"

// Debian's gloo headers serve this include alone: the library behind it is the one
// inside LibTorch, so nothing here names a gloo:: type.
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace lockstep::comm {

std::shared_ptr<ProcessGroup> make_gloo(const c10::intrusive_ptr<c10d::Store>& store,
                                        int rank, int world_size,
                                        const std::string& interface_address,
                                        std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(
      c10d::ProcessGroupGloo::createDeviceForHostname(interface_address));
  return std::make_shared<ProcessGroup>(
      c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world_size, options));
}

}  // namespace lockstep::comm
