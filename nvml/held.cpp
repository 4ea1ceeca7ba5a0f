#include <array>
#include <cstdio>

#include "nvml/devices.h"

namespace lockstep::nvml {
namespace {

// Domain, bus, device. CUDA writes four digits of the domain and NVML eight.
using Place = std::array<unsigned, 3>;

std::optional<Place> place_of(const std::string& pci_bus_id) {
  Place place{};
  const int read =
      std::sscanf(pci_bus_id.c_str(), "%x:%x:%x", &place[0], &place[1], &place[2]);
  if (read != 3) return std::nullopt;
  return place;
}

}  // namespace

const Device* find_device(const Devices& devices, const std::string& pci_bus_id) {
  const auto place = place_of(pci_bus_id);
  if (!place) return nullptr;
  for (const Device& device : devices.all) {
    if (place_of(device.pci_bus_id) == place) return &device;
  }
  return nullptr;
}

std::vector<Held> held_by(int64_t pid, const Devices& devices,
                          const std::vector<std::string>& pci_bus_ids) {
  std::vector<Held> all;
  for (size_t i = 0; i < pci_bus_ids.size(); ++i) {
    const Device* device = find_device(devices, pci_bus_ids[i]);
    if (device == nullptr || !device->processes) continue;
    std::optional<Held> held;
    for (const Process& process : *device->processes) {
      if (process.pid != pid) continue;
      // A device that is split up names a process once for each of its parts.
      if (!held) held = Held{static_cast<int>(i), 0};
      held->bytes = held->bytes && process.bytes
                        ? std::optional(*held->bytes + *process.bytes)
                        : std::nullopt;
    }
    if (held) all.push_back(*held);
  }
  return all;
}

}  // namespace lockstep::nvml
