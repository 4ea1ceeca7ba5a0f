// The process group of ranks on several hosts: a c10d::Backend that goes host-first.
// Shared memory (shm/) inside a host, gloo between hosts, so that each number crosses a
// cable once each way, not once for each rank.
//
// An all_reduce: each host's ranks add up in shared memory, each of them one part of
// the elements (its lane's, segments.h); it adds that part up with the ranks of its
// number on the other hosts; and all copy the whole from shared memory. Bytes between
// hosts are gloo's ring at its best (2 (hosts-1)/hosts of the elements each way); a
// ring over all ranks crosses every cable as often as its order changes hosts.
//
// Collectives are done by a thread of the group's own: nobody on another host waits for
// this rank's own thread to come by (as over shm alone it may).
//
// Not here: CUDA cards. NCCL goes host-first by itself.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "comm/process_group.h"
#include "comm/rendezvous.h"

namespace lockstep::hier {

struct HierOptions {
  std::string interface_address;  // as gloo's (comm/gloo.h)
  std::chrono::milliseconds timeout = std::chrono::minutes(5);
  // Whose memory comes from the shared memory, as in shm/shm.h.
  std::optional<int> card;
  std::string host;  // what this rank calls its host; empty: this_host()
};

// Returns when every rank has come. Throws std::runtime_error.
std::shared_ptr<comm::ProcessGroup> make_hier(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
    const HierOptions& options, comm::PeerWatchPtr watch = nullptr);

}  // namespace lockstep::hier
