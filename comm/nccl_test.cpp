// NCCL between the devices of one process. Without a CUDA device it is waived, by name;
// with one, every call is made on a single device.
#include "comm/nccl.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdio>

#include "device/card.h"
#include "device/cuda.h"

namespace lockstep::comm {
namespace {

class NcclTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto devices = device::cuda_devices();
    if (devices.count < 2) {
      std::printf("WAIVED: comm/nccl_test (%s): %s\n",
                  devices.count == 0 ? "all" : "two devices", devices.reason.c_str());
    }
  }
  void SetUp() override {
    if (device::cuda_devices().count == 0) GTEST_SKIP() << "waived: no CUDA device";
  }

  // One tensor a device, device i's filled with i + 1.
  static std::vector<at::Tensor> filled() {
    std::vector<at::Tensor> tensors;
    for (int i = 0; i < device::cuda_devices().count; ++i) {
      tensors.push_back(torch::full(
          {1001}, i + 1.0, at::Device(at::kCUDA, static_cast<at::DeviceIndex>(i))));
    }
    return tensors;
  }

  device::CardScope scope_{device::make_cards("auto", 1, 1).front()};
};

TEST_F(NcclTest, BroadcastGivesAllTheFirstsValues) {
  const auto tensors = filled();
  nccl_broadcast(tensors);
  for (const at::Tensor& tensor : tensors) {
    EXPECT_TRUE(tensor.cpu().equal(torch::ones({1001})));
  }
}

TEST_F(NcclTest, ReduceGivesTheFirstTheSum) {
  const auto tensors = filled();
  nccl_reduce(tensors);
  const auto count = static_cast<double>(tensors.size());
  EXPECT_TRUE(tensors[0].cpu().equal(torch::full({1001}, count * (count + 1) / 2)));
}

}  // namespace
}  // namespace lockstep::comm
