// The process group of ranks on one host: a c10d::Backend over shared memory, without
// sockets, kernel copies or threads of its own. See board.h for how it works and
// shared_memory.h for what is shared.
//
// A card's memory may lie in the shared memory itself, as a GPU's is open to its peers:
// then gradients are added up where autograd left them. Tensors that lie elsewhere are
// copied in and out.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "comm/process_group.h"
#include "comm/rendezvous.h"

namespace lockstep::shm {

// Returns when every rank has come; all of them are on this host. Where a card is named
// its memory comes from the shared memory for as long as the group lives; a card that
// has tensors already keeps them where they are. Throws std::runtime_error. Who only
// stopped is `watch`'s to say.
std::shared_ptr<comm::ProcessGroup> make_shm(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
    std::chrono::milliseconds timeout, std::optional<int> card = std::nullopt,
    comm::PeerWatchPtr watch = nullptr);

}  // namespace lockstep::shm
