// Against stand-ins for the driver's library; the real one is asked where it is.
#include "nvml/devices.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "nvml/placement.h"

namespace lockstep::nvml {
namespace {

constexpr int64_t kMiB = 1 << 20;
// As CUDA writes them, by CUDA_VISIBLE_DEVICES=1,0: NVML's second is its first.
const std::vector<std::string> kCudaOrder = {"0000:c1:00.0", "0000:1A:00.0"};

class NvmlTest : public testing::Test {
 protected:
  ~NvmlTest() override {
    for (const char* told : {"STAND_IN_INIT", "STAND_IN_MEMORY", "STAND_IN_PROCESSES"})
      unsetenv(told);
  }
  static void tell(const char* variable, const std::string& value) {
    setenv(variable, value.c_str(), 1);
  }
};

TEST_F(NvmlTest, DevicesAndTheirProcessesAreRead) {
  tell("STAND_IN_PROCESSES", "0:4711:412 0:99:1 1:4711:900");
  const Devices devices = read_devices(STAND_IN);
  EXPECT_EQ(devices.reason, "");
  ASSERT_EQ(devices.all.size(), 2U) << "the third may not be asked";
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(devices.all[i].name, "Stand-in " + std::to_string(i));
    EXPECT_EQ(devices.all[i].used_bytes, static_cast<int64_t>(i + 1) << 30);
    EXPECT_EQ(devices.all[i].total_bytes, int64_t{80} << 30);
  }
  const auto& processes = devices.all[0].processes;
  ASSERT_TRUE(processes);
  ASSERT_EQ(processes->size(), 2U);
  EXPECT_EQ(processes->at(0).pid, 4711);
  EXPECT_EQ(processes->at(0).bytes, 412 * kMiB);
  EXPECT_EQ(processes->at(1).pid, 99);
  EXPECT_EQ(processes->at(1).bytes, kMiB);
}

TEST_F(NvmlTest, ADriverThatHasNoneIsAReason) {
  EXPECT_EQ(read_devices("libnvidia-ml.so.none").reason.find("no NVML, libnvidia-ml"),
            0U);
  EXPECT_EQ(read_devices("libnvidia-ml.so.none").reason.find('\n'), std::string::npos);

  const Devices old = read_devices(OLD_STAND_IN);
  EXPECT_TRUE(old.all.empty());
  EXPECT_EQ(old.reason, std::string(OLD_STAND_IN) +
                            " has no nvmlDeviceGetComputeRunningProcesses_v3; it takes "
                            "a newer driver to tell of processes");

  tell("STAND_IN_INIT", "9");  // NVML_ERROR_DRIVER_NOT_LOADED
  const Devices unloaded = read_devices(STAND_IN);
  EXPECT_TRUE(unloaded.all.empty());
  EXPECT_EQ(unloaded.reason, "NVML does not begin: Driver Not Loaded");
}

TEST_F(NvmlTest, WhatIsNotToldIsAbsentNotZero) {
  tell("STAND_IN_MEMORY", "3");  // NVML_ERROR_NOT_SUPPORTED
  tell("STAND_IN_PROCESSES", "0:4711:-");
  Devices devices = read_devices(STAND_IN);
  ASSERT_EQ(devices.all.size(), 2U);
  EXPECT_FALSE(devices.all[0].used_bytes);
  EXPECT_FALSE(devices.all[0].total_bytes);
  EXPECT_FALSE(devices.all[0].processes.value().at(0).bytes);
  const std::vector<Held> held = held_by(4711, devices, kCudaOrder);
  ASSERT_EQ(held.size(), 1U);
  EXPECT_FALSE(held[0].bytes);

  tell("STAND_IN_PROCESSES", "none");
  devices = read_devices(STAND_IN);
  EXPECT_FALSE(devices.all[0].processes);
  EXPECT_TRUE(held_by(4711, devices, kCudaOrder).empty());
}

TEST_F(NvmlTest, ManyProcessesAreAskedForAgain) {
  std::string told;
  for (int pid = 1; pid <= 150; ++pid) told += "0:" + std::to_string(pid) + ":1 ";
  tell("STAND_IN_PROCESSES", told);
  const auto processes = read_devices(STAND_IN).all.at(0).processes;
  ASSERT_TRUE(processes);
  ASSERT_EQ(processes->size(), 150U);
  EXPECT_EQ(processes->back().pid, 150);
}

TEST_F(NvmlTest, DevicesAreFoundByTheirPlaceNotTheirIndex) {
  tell("STAND_IN_PROCESSES", "0:4711:412 1:4711:900 1:12:3");
  const Devices devices = read_devices(STAND_IN);
  ASSERT_NE(find_device(devices, kCudaOrder[0]), nullptr);
  EXPECT_EQ(find_device(devices, kCudaOrder[0])->name, "Stand-in 1");
  EXPECT_EQ(find_device(devices, "0001:c1:00.0"), nullptr) << "of another domain";
  EXPECT_EQ(find_device({{Device{}}, ""}, ""), nullptr) << "nowhere is no place";

  const std::vector<Held> held = held_by(4711, devices, kCudaOrder);
  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0].device, 0);
  EXPECT_EQ(held[0].bytes, 900 * kMiB);
  EXPECT_EQ(held[1].device, 1);
  EXPECT_EQ(held[1].bytes, 412 * kMiB);

  // One device alone is shown, as Slurm shows a rank its own.
  const std::vector<Held> shown = held_by(4711, devices, {kCudaOrder[1]});
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown[0].bytes, 412 * kMiB);
  EXPECT_TRUE(held_by(13, devices, kCudaOrder).empty()) << "another namespace's pid";
}

TEST_F(NvmlTest, AProcessInTwoPartsOfADeviceHoldsBoth) {
  tell("STAND_IN_PROCESSES", "0:4711:412 0:4711:8 1:4711:- 1:4711:5");
  const std::vector<Held> held = held_by(4711, read_devices(STAND_IN), kCudaOrder);
  ASSERT_EQ(held.size(), 2U);
  EXPECT_FALSE(held[0].bytes) << "one part's is not known";
  EXPECT_EQ(held[1].bytes, 420 * kMiB);
}

TEST_F(NvmlTest, TheDriversOwnIsAsked) {
  const Devices devices = read_devices();
  if (!devices.reason.empty()) {
    std::printf("WAIVED: nvml/devices: %s\n", devices.reason.c_str());
    EXPECT_TRUE(devices.all.empty());
    return;
  }
  for (const Device& device : devices.all) {
    EXPECT_NE(find_device(devices, device.pci_bus_id), nullptr);
    EXPECT_LE(device.used_bytes.value_or(0), device.total_bytes.value_or(0));
  }
}

}  // namespace
}  // namespace lockstep::nvml
