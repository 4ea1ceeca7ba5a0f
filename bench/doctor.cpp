#include "bench/doctor.h"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "bench/loopback.h"
#include "cases/machine.h"
#include "data/data_folder.h"
#include "device/cuda.h"
#include "program/formatted.h"

namespace lockstep::bench {
namespace {

using program::formatted;

std::string line(const std::string& what, const std::string& value) {
  char text[400];
  std::snprintf(text, sizeof(text), "%-12s %s\n", what.c_str(), value.c_str());
  return text;
}

std::string gib(double bytes) { return formatted("%.1f GiB", bytes / (1 << 30)); }

// One core's, from memory to memory: past every cache.
double copied_bytes_per_s() {
  using Clock = std::chrono::steady_clock;
  constexpr size_t kBytes = 128 << 20;
  constexpr int kCopies = 4;
  const std::vector<char> from(kBytes, 1);
  std::vector<char> to(kBytes, 0);
  benchmark::DoNotOptimize(to.data());
  const auto begin = Clock::now();
  for (int i = 0; i < kCopies; ++i) {
    std::memcpy(to.data(), from.data(), kBytes);
    benchmark::ClobberMemory();  // nobody reads them
  }
  const std::chrono::duration<double> seconds = Clock::now() - begin;
  return kCopies * static_cast<double>(kBytes) / seconds.count();
}

std::string links() {
  const Loopback loopback = measure_loopback();
  return line("memory copy", formatted("%.1f GB/s", copied_bytes_per_s() * 1e-9)) +
         line("loopback", formatted("%.2f GB/s, ", loopback.bytes_per_s * 1e-9) +
                              formatted("%.0f us there and back over TCP",
                                        loopback.round_trip_s * 1e6));
}

std::string images() {
  const std::filesystem::path folder = data::default_data_dir("fashion-mnist");
  return std::filesystem::exists(folder) ? "fashion-mnist in " + folder.string()
                                         : "no fashion-mnist (Debian: "
                                           "dataset-fashion-mnist); synthetic images";
}

// Ours is none of them.
std::string processes_on(const nvml::Device& device) {
  if (!device.processes) return "";
  std::string text;
  for (const nvml::Process& process : *device.processes) {
    if (process.pid == getpid()) continue;
    text +=
        (text.empty() ? "; in use by pid " : ", pid ") + std::to_string(process.pid);
    if (process.bytes) text += " (" + std::to_string(*process.bytes >> 20) + " MiB)";
  }
  return text.empty() ? "; nobody else is on it" : text;
}

std::string memory_of(const nvml::Device& device) {
  if (!device.used_bytes || !device.total_bytes) return "";
  return formatted(", %.1f of ", static_cast<double>(*device.used_bytes) / (1 << 30)) +
         gib(static_cast<double>(*device.total_bytes)) + " in use";
}

std::vector<CudaDevice> cuda_devices_here() {
  std::vector<CudaDevice> devices;
  for (const std::string& id : device::cuda_pci_bus_ids()) {
    devices.push_back({device::cuda_device_name(static_cast<int>(devices.size())), id});
  }
  return devices;
}

}  // namespace

std::string cuda_lines(const std::vector<CudaDevice>& cuda,
                       const nvml::Devices& devices) {
  std::string text;
  for (size_t i = 0; i < cuda.size(); ++i) {
    std::string told = cuda[i].name;
    if (const auto* device = nvml::find_device(devices, cuda[i].pci_bus_id)) {
      told += memory_of(*device) + processes_on(*device);
    }
    text += line("CUDA " + std::to_string(i), told);
  }
  if (!cuda.empty() && !devices.reason.empty()) {
    text += line("WAIVED", "memory of CUDA devices by process: " + devices.reason);
  }
  return text;
}

std::string diagnosis() {
  const rows::MachineRow machine = cases::this_machine();
  const double free_bytes = static_cast<double>(sysconf(_SC_AVPHYS_PAGES)) *
                            static_cast<double>(sysconf(_SC_PAGESIZE));
  std::string text =
      line("processor", machine.cpu + ", " + std::to_string(machine.cores) + " cores") +
      line("memory", gib(static_cast<double>(machine.memory_bytes)) + ", " +
                         gib(free_bytes) + " free") +
      line("system", machine.os) +
      line("LibTorch", machine.libtorch + ", Lockstep " + cases::current_commit() +
                           " built as " + machine.build);
  const device::CudaDevices cuda = device::cuda_devices();
  if (cuda.count > 0) text += cuda_lines(cuda_devices_here(), nvml::read_devices());
  text += links() + line("data", images());
  for (const std::string& warning : cases::warnings({})) {
    text += line("WARNING", warning);
  }
  if (cuda.count == 0) {
    text += line("WAIVED",
                 "--device cuda, --backend nccl, --dp-reduce nccl: " + cuda.reason);
  }
  if (cuda.count < 2) {
    text += line("WAIVED",
                 "--peers libtorch (LibTorch's data_parallel): needs 2 CUDA "
                 "devices, there are " +
                     std::to_string(cuda.count));
  }
  return text;
}

}  // namespace lockstep::bench
