#include "training/driver_memory.h"

#include <unistd.h>

#include <algorithm>

#include "device/cuda.h"

namespace lockstep::training {
namespace {

std::string stray_context(const nvml::Held& held, int rank, int64_t pid) {
  const std::string bytes =
      held.bytes ? std::to_string(*held.bytes >> 20) + " MiB" : "memory";
  return "rank " + std::to_string(rank) + " (pid " + std::to_string(pid) + ") holds " +
         bytes + " on cuda:" + std::to_string(held.device) +
         ", which is not its card: a stray context; put its CardScope before the "
         "first call that touches CUDA";
}

}  // namespace

void add_driver_memory(const std::vector<Card>& cards, int rank, TrainReport& report) {
  if (cards.front().emulated()) return;
  std::vector<std::string> pci_bus_ids;
  for (int i = 0; i < device::cuda_devices().count; ++i) {
    pci_bus_ids.push_back(device::cuda_pci_bus_id(i));
  }
  std::vector<int> devices;
  for (const Card& card : cards) devices.push_back(card.torch_device().index());
  add_held(nvml::held_by(getpid(), nvml::read_devices(), pci_bus_ids), devices, rank,
           getpid(), report);
}

void add_held(const std::vector<nvml::Held>& held, const std::vector<int>& devices,
              int rank, int64_t pid, TrainReport& report) {
  for (const nvml::Held& one : held) {
    bool has_card = false;
    for (size_t i = 0; i < devices.size(); ++i) {
      if (devices[i] != one.device) continue;
      has_card = true;
      report.cards[i].process_bytes = one.bytes;
    }
    if (!has_card) report.stray_contexts.push_back(stray_context(one, rank, pid));
  }
}

}  // namespace lockstep::training
