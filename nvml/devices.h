// What the driver itself tells of its devices: their memory, and which processes hold
// it. NVML comes with the driver, so it is opened as the program runs, and that there
// is none is an answer like another.
//
// Not here: CUDA's devices and LibTorch's allocator (device/). NVML lists every device
// in an order of its own, CUDA those that CUDA_VISIBLE_DEVICES leaves, as it orders
// them: one is found in the other's list by its PCI bus id, never by its index.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::nvml {

// One that has a context there. In a container pids may be of another namespace, and
// bytes may be kept from us.
struct Process {
  int64_t pid = 0;
  std::optional<int64_t> bytes;
};

struct Device {
  std::string pci_bus_id;  // "00000000:65:00.0"
  std::string name;
  // With what the driver keeps for itself.
  std::optional<int64_t> used_bytes;
  std::optional<int64_t> total_bytes;
  std::optional<std::vector<Process>> processes;  // none: the driver would not tell
};

struct Devices {
  std::vector<Device> all;  // those that this process may ask about
  std::string reason;       // one line on why there is none to ask; else empty
};

// As it is now. Takes milliseconds, and makes no context on any device.
Devices read_devices(const std::string& library = "libnvidia-ml.so.1");

// Where CUDA's device with that bus id stands in NVML's list, however many digits
// either writes; null: nowhere.
const Device* find_device(const Devices& devices, const std::string& pci_bus_id);

}  // namespace lockstep::nvml
