// Which rank or ranks of a job this process stands for: the command line's words and
// the launcher's variables put together. Not here: meeting the others (comm), starting
// the ranks (spawn.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launch/environment.h"
#include "launch/world.h"

namespace lockstep::launch {

// As the command line says it, in the tutorials' words.
struct PlaceOptions {
  int nodes = 1;
  int node_rank = 0;
  int ranks_per_node = 1;
  // This process is that one rank; nobody starts it but the user.
  std::optional<int> rank;
  std::optional<int> world_size;
  std::string init_method = "env://";
  std::optional<std::string> master_addr;
  std::optional<int> master_port;  // 0: any free one
  std::string launcher = "auto";   // see launcher_of()
};

struct Place {
  // This process's, or where it starts ranks that of the first of them.
  World world;
  // Start world.local_world_size ranks, from world.rank on.
  bool starts_ranks = false;
};

// A launcher's ranks (launcher.h) come first, then --rank and --world-size; without
// either this process starts its node's ranks. Where they meet is told by the init
// method; env:// takes --master-addr and --master-port, then MASTER_ADDR and
// MASTER_PORT, then what Slurm or MPI lets one tell. torchrun's ranks meet where it
// says. Throws std::invalid_argument, one line, for what contradicts itself; and under
// env:// for several nodes that would each meet on their own loopback, naming those of
// `own_addresses`, by which others reach this machine.
Place place_of(const PlaceOptions& options, const Environment& environment,
               const std::vector<std::string>& own_addresses = {});

// The job as a picture of lines: every machine with its ranks, that of `first` marked,
// and where they meet. Machines of a large job are left out in the middle.
std::string drawing(const World& first);

}  // namespace lockstep::launch
