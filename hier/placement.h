// Which rank is on which host, agreed by all ranks over their store. Nothing is assumed
// of the order: launchers number ranks host by host, or deal them out in turn (Slurm's
// `--distribution cyclic`), and hosts may have different numbers of them.
#pragma once

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

namespace lockstep::hier {

struct Placement {
  std::vector<int> host;                // [rank], by the first rank on each
  std::vector<int> local;               // [rank]: its number among its host's
  std::vector<std::vector<int>> ranks;  // [host], ascending

  int hosts() const { return static_cast<int>(ranks.size()); }
  // Ranks that every host has, each of which talks to those of its number elsewhere.
  int lanes() const;
};

// From what each rank calls its host.
Placement place(const std::vector<std::string>& host_of_rank);

// What tells this host from all others: ranks that say the same can share memory. The
// machine as it was last started, its name, and the network that this process sees (a
// container's own, say): shm/shared_memory.h meets there.
std::string this_host();

// All ranks say where they are; collective. Throws where one says nothing in time.
Placement agree(c10d::Store& store, int rank, int world_size, const std::string& host,
                std::chrono::milliseconds timeout);

}  // namespace lockstep::hier
