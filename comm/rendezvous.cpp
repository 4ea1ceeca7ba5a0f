#include "comm/rendezvous.h"

#include <stdexcept>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace lockstep::comm {

c10::intrusive_ptr<c10d::Store> meet(const Meeting& meeting) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(meeting.port);
  options.isServer = meeting.rank == 0 && meeting.host_store;
  options.numWorkers = static_cast<size_t>(meeting.world_size);
  options.waitWorkers = meeting.host_store;
  options.timeout = meeting.timeout;
  if (options.isServer) {
    if (meeting.listen_fd < 0) {
      throw std::invalid_argument(
          "rank 0 hosts the store and needs a listening socket");
    }
    options.masterListenFd = meeting.listen_fd;
  }
  try {
    return c10::make_intrusive<c10d::TCPStore>(meeting.host, options);
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw std::runtime_error("rank " + std::to_string(meeting.rank) + " of " +
                             std::to_string(meeting.world_size) + " met nobody at " +
                             meeting.host + ":" + std::to_string(meeting.port) +
                             "; are all ranks started? (" +
                             text.substr(0, text.find('\n')) + ")");
  }
}

}  // namespace lockstep::comm
