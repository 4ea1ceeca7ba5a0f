#include "nvml/devices.h"

#include <dlfcn.h>
#include <nvml.h>

#include <array>
#include <stdexcept>

namespace lockstep::nvml {
namespace {

// How many processes a device is asked about at once; more are asked for again.
constexpr unsigned kProcesses = 64;

// The driver's library, for as long as this lives.
class Library {
 public:
  // Throws std::runtime_error where it is not there, of another version, or of no use.
  explicit Library(const std::string& path)
      : path_(path), handle_(dlopen(path.c_str(), RTLD_LAZY)) {
    if (handle_ == nullptr) {
      throw std::runtime_error("no NVML, " + path + ": " + dlerror());
    }
    try {
      find(init_, "nvmlInit_v2");
      find(shutdown_, "nvmlShutdown");
      find(error_string_, "nvmlErrorString");
      find(count_, "nvmlDeviceGetCount_v2");
      find(handle_by_index_, "nvmlDeviceGetHandleByIndex_v2");
      find(pci_info_, "nvmlDeviceGetPciInfo_v3");
      find(name_, "nvmlDeviceGetName");
      find(memory_info_, "nvmlDeviceGetMemoryInfo");
      find(processes_, "nvmlDeviceGetComputeRunningProcesses_v3");
      const nvmlReturn_t status = init_();
      if (status != NVML_SUCCESS) {
        throw std::runtime_error("NVML does not begin: " +
                                 std::string(error_string_(status)));
      }
    } catch (...) {
      dlclose(handle_);
      throw;
    }
  }
  ~Library() {
    shutdown_();
    dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  std::vector<Device> devices() const {
    unsigned count = 0;
    const nvmlReturn_t status = count_(&count);
    if (status != NVML_SUCCESS) {
      throw std::runtime_error("NVML does not count its devices: " +
                               std::string(error_string_(status)));
    }
    std::vector<Device> all;
    for (unsigned i = 0; i < count; ++i) {
      nvmlDevice_t device = nullptr;
      nvmlPciInfo_t pci{};
      // One that a container was not given is listed, and may not be asked.
      if (handle_by_index_(i, &device) != NVML_SUCCESS) continue;
      if (pci_info_(device, &pci) != NVML_SUCCESS) continue;
      all.push_back(read(device, pci));
    }
    return all;
  }

 private:
  template <typename Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    if (function == nullptr) {
      throw std::runtime_error(path_ + " has no " + name +
                               "; it takes a newer driver to tell of processes");
    }
  }

  Device read(nvmlDevice_t device, const nvmlPciInfo_t& pci) const {
    Device read;
    read.pci_bus_id = pci.busId;
    std::array<char, NVML_DEVICE_NAME_V2_BUFFER_SIZE> name{};
    if (name_(device, name.data(), name.size()) == NVML_SUCCESS) {
      read.name = name.data();
    }
    nvmlMemory_t memory{};
    if (memory_info_(device, &memory) == NVML_SUCCESS) {
      read.used_bytes = static_cast<int64_t>(memory.used);
      read.total_bytes = static_cast<int64_t>(memory.total);
    }
    read.processes = processes_of(device);
    return read;
  }

  std::optional<std::vector<Process>> processes_of(nvmlDevice_t device) const {
    constexpr auto kNotAvailable =
        static_cast<unsigned long long>(NVML_VALUE_NOT_AVAILABLE);
    std::vector<nvmlProcessInfo_t> found;
    unsigned count = kProcesses;
    nvmlReturn_t status = NVML_ERROR_INSUFFICIENT_SIZE;
    while (status == NVML_ERROR_INSUFFICIENT_SIZE) {
      found.resize(found.size() + count);  // others may have come meanwhile
      count = static_cast<unsigned>(found.size());
      status = processes_(device, &count, found.data());
    }
    if (status != NVML_SUCCESS) return std::nullopt;
    found.resize(count);
    std::vector<Process> processes;
    for (const nvmlProcessInfo_t& one : found) {
      processes.push_back({one.pid, std::nullopt});
      if (one.usedGpuMemory != kNotAvailable) {
        processes.back().bytes = static_cast<int64_t>(one.usedGpuMemory);
      }
    }
    return processes;
  }

  std::string path_;
  void* handle_;
  decltype(nvmlInit_v2)* init_ = nullptr;
  decltype(nvmlShutdown)* shutdown_ = nullptr;
  decltype(nvmlErrorString)* error_string_ = nullptr;
  decltype(nvmlDeviceGetCount_v2)* count_ = nullptr;
  decltype(nvmlDeviceGetHandleByIndex_v2)* handle_by_index_ = nullptr;
  decltype(nvmlDeviceGetPciInfo_v3)* pci_info_ = nullptr;
  decltype(nvmlDeviceGetName)* name_ = nullptr;
  decltype(nvmlDeviceGetMemoryInfo)* memory_info_ = nullptr;
  decltype(nvmlDeviceGetComputeRunningProcesses_v3)* processes_ = nullptr;
};

}  // namespace

Devices read_devices(const std::string& library) {
  try {
    return {Library(library).devices(), ""};
  } catch (const std::runtime_error& error) {
    return {{}, error.what()};
  }
}

}  // namespace lockstep::nvml
