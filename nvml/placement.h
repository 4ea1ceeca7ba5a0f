// Where a process of the job has memory, beside where it has cards: a context on
// another device, most often on the first, is memory that nobody meant to take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nvml/devices.h"

namespace lockstep::nvml {

// What a process holds on one of CUDA's devices: its context, what its allocators have
// reserved, and what libraries took past them.
struct Held {
  int device = 0;  // as CUDA counts
  std::optional<int64_t> bytes;
};

// `pci_bus_ids`: of CUDA's devices, in CUDA's order. Devices on which the process has
// no context, or where nobody can tell, are left out.
std::vector<Held> held_by(int64_t pid, const Devices& devices,
                          const std::vector<std::string>& pci_bus_ids);

struct Placement {
  // Of each card what the process holds on its device: cards that share one have the
  // same. None where the driver does not tell of this process (in another namespace its
  // pid is another).
  std::vector<std::optional<int64_t>> card_bytes;
  // A line for each device where it holds memory and has no card.
  std::vector<std::string> stray_contexts;
};

// Of what process `pid` was found to hold; `devices` are those of its cards.
Placement placement(const std::vector<Held>& held, const std::vector<int>& devices,
                    int rank, int64_t pid);

}  // namespace lockstep::nvml
