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
// MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE, TORCHELASTIC_RESTART_COUNT,
// and our own LOCKSTEP_STORE_FD. nullopt: no launcher here (neither RANK nor
// WORLD_SIZE). Absent local names mean one machine. Throws std::invalid_argument, one
// line, where the values contradict each other, or where several ranks must meet and
// the environment does not say where; `meets` false: they are told by other means.
std::optional<World> world_from(const Environment& environment, bool meets = true);

// MASTER_PORT, or 0 where it is not set. Throws std::invalid_argument.
int master_port(const Environment& environment);

// The inverse, but for `store_file`, which is the command line's to say. Every name is
// written, so that a rank which starts another job leaves nothing of its own place
// behind in the new ranks' environment.
Environment to_environment(const World& world);

}  // namespace lockstep::launch
