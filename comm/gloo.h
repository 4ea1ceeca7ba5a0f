// c10d's gloo process group: collectives of CPU tensors over sockets.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "comm/process_group.h"
#include "comm/rendezvous.h"

namespace lockstep::comm {

// Returns when every rank has come. `interface_address` is this machine's address that
// the others reach (own_address.h): loopback keeps everything on this machine. The
// environment's GLOO_SOCKET_IFNAME, an interface's name, goes before it as in PyTorch.
// Gloo's errors name a socket's number, not a rank: `watch` does.
std::shared_ptr<ProcessGroup> make_gloo(const c10::intrusive_ptr<c10d::Store>& store,
                                        int rank, int world_size,
                                        const std::string& interface_address,
                                        std::chrono::milliseconds timeout,
                                        PeerWatchPtr watch = nullptr);

// Of gloo's own threads, how many; nullopt where the group is not plain gloo.
std::optional<int> gloo_threads(const ProcessGroup& group);

}  // namespace lockstep::comm
