// The environment as plain text, and the World that a launcher wrote into it. The names
// are torchrun's, so a rank cannot tell whether torchrun or our own spawn.h started it;
// launcher.h reads other launchers' names by the same function.
//
// Not here: any socket: these are pure functions of the map, but for
// current_environment().
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>

#include "launch/world.h"

namespace lockstep::launch {

using Environment = std::map<std::string, std::string>;

Environment current_environment();

// Reads RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, GROUP_RANK (the node's rank),
// MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE, TORCHELASTIC_RESTART_COUNT,
// TORCHELASTIC_RUN_ID (the job's name), and our own LOCKSTEP_STORE_FD. nullopt: no
// launcher here (neither RANK nor WORLD_SIZE). Absent local names mean one machine.
// Throws std::invalid_argument, one line, where the values contradict each other, or
// where several ranks must meet and the environment does not say where; `meets` false:
// they are told by other means.
std::optional<World> world_from(const Environment& environment, bool meets = true);

// What one launcher calls the numbers of a World.
struct RankNames {
  const char* rank;
  const char* world_size;
  const char* local_rank;
  const char* local_world_size;
  const char* node_rank;  // nullptr: it does not tell
  const char* way_out;    // for errors: what to do about a value that cannot be
};

// A job's name, from those that are set: "SLURM_JOB_ID=17 SLURM_STEP_ID=0".
std::string job_of(const Environment& environment,
                   std::initializer_list<const char*> names);

// The numbers under these names, and MASTER_ADDR and MASTER_PORT as above. Rank and
// world size must be there. Throws std::invalid_argument as above.
World ranks_from(const Environment& environment, const RankNames& names, bool meets);

// The value of a name; nullopt: it is not set.
std::optional<std::string> value_of(const Environment& environment,
                                    const std::string& name);

// The same, "" where it is not set.
std::string text_at(const Environment& environment, const char* name);
// The number there; nullopt: none, or the likes of "auto" and "1:4".
std::optional<int64_t> whole(const Environment& environment, const char* name);

// Of foreign text, for a message of one line.
std::string printable(const std::string& text);
// NAME="value".
std::string quoted(const std::string& name, const std::string& text);

// MASTER_PORT, or 0 where it is not set. Throws std::invalid_argument.
int master_port(const Environment& environment);

// The inverse, but for `store_file`, which is the command line's to say, and `job`.
// Every name is written, so that a rank which starts another job leaves nothing of its
// own place behind in the new ranks' environment.
Environment to_environment(const World& world);

}  // namespace lockstep::launch
