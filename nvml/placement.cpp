#include "nvml/placement.h"

namespace lockstep::nvml {
namespace {

std::string stray_context(const Held& held, int rank, int64_t pid) {
  const std::string bytes =
      held.bytes ? std::to_string(*held.bytes >> 20) + " MiB" : "memory";
  return "rank " + std::to_string(rank) + " (pid " + std::to_string(pid) + ") holds " +
         bytes + " on cuda:" + std::to_string(held.device) +
         ", which is not its card: a stray context; put its CardScope before the "
         "first call that touches CUDA";
}

}  // namespace

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

Placement placement(const std::vector<Held>& held, const std::vector<int>& devices,
                    int rank, int64_t pid) {
  Placement placement;
  placement.card_bytes.resize(devices.size());
  for (const Held& one : held) {
    bool has_card = false;
    for (size_t i = 0; i < devices.size(); ++i) {
      if (devices[i] != one.device) continue;
      has_card = true;
      placement.card_bytes[i] = one.bytes;
    }
    if (!has_card) placement.stray_contexts.push_back(stray_context(one, rank, pid));
  }
  return placement;
}

}  // namespace lockstep::nvml
