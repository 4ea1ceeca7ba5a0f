// Who this process is among the ranks of a job, and where they meet. Plain numbers:
// making the process group from it is comm's work, starting the processes is spawn.h's.
#pragma once

#include <string>

namespace lockstep::launch {

struct World {
  int rank = 0;        // 0 .. world_size-1, over all machines
  int local_rank = 0;  // on this machine: the index of this process's card
  int node_rank = 0;   // of this machine
  int world_size = 1;
  int local_world_size = 1;  // ranks on this machine
  // Where rank 0 hosts the store. 0.0.0.0, on rank 0's machine alone: on all of its
  // addresses.
  std::string master_addr = "127.0.0.1";
  int master_port = 0;  // 0: one rank only, nobody to meet
  // A socket already bound and listening on master_port, inherited from the launcher,
  // for the store that rank 0 hosts: no other process can take the port in between. -1:
  // none.
  int store_fd = -1;
  // The launcher hosts the store itself (torchrun's agent): then rank 0 is a client as
  // well.
  bool agent_hosts_store = false;
  // Each rank is shown one CUDA device, its own, as Slurm binds them: there it is
  // device 0, whatever its local rank.
  bool own_device = false;
  // How often the launcher has started the job anew: what earlier ranks left in its
  // store is not for these.
  int attempt = 0;
  // What the launcher calls the job, so that ranks of two jobs do not meet. Empty: it
  // has no name.
  std::string job;
  // Ranks meet over this file, which all machines see, and no port. Empty: they do not.
  std::string store_file;
};

// `ranks` ranks on this machine, seen from the first.
inline World on_one_machine(int ranks) {
  World world;
  world.world_size = world.local_world_size = ranks;
  return world;
}

}  // namespace lockstep::launch

namespace lockstep {
using launch::World;
}
