// Stands in for the driver's library in tests: two devices, told what to say by
// STAND_IN_INIT (a status) and STAND_IN_MEMORY (a status). Its processes are
// stand_in_processes.cpp's; without that it is an old driver's.
#include <nvml.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

nvmlReturn_t told(const char* variable) {
  const char* status = std::getenv(variable);
  return static_cast<nvmlReturn_t>(status == nullptr ? 0 : std::atoi(status));
}

unsigned index_of(nvmlDevice_t device) {
  return static_cast<unsigned>(reinterpret_cast<uintptr_t>(device) - 1);
}

}  // namespace

nvmlReturn_t nvmlInit_v2() { return told("STAND_IN_INIT"); }

nvmlReturn_t nvmlShutdown() { return NVML_SUCCESS; }

const char* nvmlErrorString(nvmlReturn_t status) {
  return status == NVML_ERROR_DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Unknown Error";
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 3;  // the last may not be asked
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t* device) {
  if (index >= 2) return NVML_ERROR_NO_PERMISSION;
  *device = reinterpret_cast<nvmlDevice_t>(uintptr_t{index} + 1);
  return NVML_SUCCESS;
}

// In the order of the bus, which need not be CUDA's.
nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  const unsigned bus = index_of(device) == 0 ? 0x1A : 0xC1;
  std::snprintf(pci->busId, sizeof(pci->busId), NVML_DEVICE_PCI_BUS_ID_FMT, 0U, bus,
                0U);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned length) {
  std::snprintf(name, length, "Stand-in %u", index_of(device));
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  memory->total = 80ULL << 30;
  memory->used = (index_of(device) + 1ULL) << 30;
  memory->free = memory->total - memory->used;
  return told("STAND_IN_MEMORY");
}
