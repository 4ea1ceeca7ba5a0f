// The environment as plain text, and the World that a launcher wrote into it. The names
// are torchrun's, so a rank cannot tell whether torchrun or our own spawn.h started it.
//
// Not here: other launchers' names (Slurm, MPI), and any socket: these are pure
// functions of the map, but for current_environment().
#pragma once

#include <map>
#include <optional>
#include <string>

#include "launch/world.h"

namespace lockstep::launch {

using Environment = std::map<std::string, std::string>;

Environment current_environment();

// Reads RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, GROUP_RANK (the node's rank),
// MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE, and our own
// LOCKSTEP_STORE_FD. nullopt: no launcher here (neither RANK nor WORLD_SIZE). Absent
// local names mean one machine. Throws std::invalid_argument, one line, where the
// values contradict each other.
std::optional<World> world_from(const Environment& environment);

// The inverse. Every name is written, so that a rank which starts another job leaves
// nothing of its own place behind in the new ranks' environment.
Environment to_environment(const World& world);

}  // namespace lockstep::launch
