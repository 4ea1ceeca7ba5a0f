// In devices.cpp's place, of a build without CUDA: it has no card to ask about.
#include "nvml/devices.h"

namespace lockstep::nvml {

Devices read_devices(const std::string& /*library*/) {
  return {{}, "no NVML: this build is without CUDA (LOCKSTEP_CUDA=OFF)"};
}

}  // namespace lockstep::nvml
