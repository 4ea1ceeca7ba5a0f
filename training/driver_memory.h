// What the driver counts of this process's memory on its cards, beside what the ledger
// and the allocator count; and contexts where the process has no card.
//
// The driver knows no peak. It is asked once, as training ends: the allocator gives
// nothing back meanwhile, so what it has reserved is then at its highest, and nobody's
// step waits. Absent where there is no CUDA or no NVML, or where the driver does not
// tell of this process (another pid namespace).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/card.h"
#include "nvml/devices.h"
#include "training/report.h"

namespace lockstep::training {

// `report` has an entry for each of `cards`.
void add_driver_memory(const std::vector<Card>& cards, int rank, TrainReport& report);

// The same, of what process `pid` was found to hold; `devices` are those of its cards.
// Cards that share a device have the same bytes: they are the process's.
void add_held(const std::vector<nvml::Held>& held, const std::vector<int>& devices,
              int rank, int64_t pid, TrainReport& report);

}  // namespace lockstep::training
