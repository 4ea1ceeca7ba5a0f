#include "comm/gloo.h"

#include <cstdlib>
// Debian's gloo headers serve this include alone: the library behind it is the one
// inside LibTorch, so nothing here names a gloo:: type.
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "comm/sigpipe_blocked.h"

namespace lockstep::comm {
namespace {

// LibTorch keeps a log of every collective, one for the process, and groups on several
// threads (ranks that are threads) write its maps side by side: a crash now and then.
// It is off unless the user asks for it.
void switch_off_flight_recorder() {
  static const bool done = setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/0) == 0;
  (void)done;
}

}  // namespace

std::shared_ptr<ProcessGroup> make_gloo(const c10::intrusive_ptr<c10d::Store>& store,
                                        int rank, int world_size,
                                        const std::string& interface_address,
                                        std::chrono::milliseconds timeout,
                                        PeerWatchPtr watch) {
  switch_off_flight_recorder();
  const SigpipeBlocked sigpipe_blocked;
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  const char* interface_name = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(
      interface_name != nullptr && *interface_name != '\0'
          ? c10d::ProcessGroupGloo::createDeviceForInterface(interface_name)
          : c10d::ProcessGroupGloo::createDeviceForHostname(interface_address));
  return std::make_shared<ProcessGroup>(
      c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world_size, options),
      at::kCPU, std::move(watch));
}

std::optional<int> gloo_threads(const ProcessGroup& group) {
  auto* gloo = dynamic_cast<c10d::ProcessGroupGloo*>(group.backend().get());
  if (gloo == nullptr) return std::nullopt;
  return gloo->getNumThreads();
}

}  // namespace lockstep::comm
