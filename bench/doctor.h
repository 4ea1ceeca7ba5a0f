// `bench doctor`: what this machine is to a measurement, and what cannot run on it.
#pragma once

#include <string>
#include <vector>

#include "nvml/devices.h"

namespace lockstep::bench {

struct CudaDevice {
  std::string name;
  std::string pci_bus_id;
};

// A line for each of CUDA's devices, in CUDA's order: its memory and who else holds
// some of it, as far as the driver tells. Where that tells nothing, a line why.
std::string cuda_lines(const std::vector<CudaDevice>& cuda,
                       const nvml::Devices& devices);

// A line each: cores, memory, builds, CUDA, links, data; then what would spoil
// measurements, and what is waived and why. Takes about a second.
std::string diagnosis();

}  // namespace lockstep::bench
