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

}  // namespace lockstep::nvml
