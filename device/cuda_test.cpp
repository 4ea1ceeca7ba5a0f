// What needs a CUDA device. Without one it is waived, by name.
#include "device/cuda.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <cstdio>
#include <thread>

#include "device/card.h"
#include "device/cuda_ledger.h"
#include "device/gradient_tags.h"
#include "device/mark.h"

namespace lockstep::device {
namespace {

class CudaTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (cuda_devices().count == 0) {
      std::printf("WAIVED: device/cuda_test: %s\n", cuda_devices().reason.c_str());
    }
  }
  void SetUp() override {
    if (cuda_devices().count == 0) GTEST_SKIP() << "waived: no CUDA device";
  }
};

int64_t live(Category category) {
  return card_bytes(0).live_by_category[static_cast<size_t>(category)];
}

TEST_F(CudaTest, ABatchIsCopiedAndCounted) {
  const Card card = make_cards("cuda", 1, 1).front();
  const CardScope scope(card);
  reset_cuda_allocator_peaks(0);
  const int64_t before = live(Category::input);
  {
    const at::Tensor images = torch::rand({64, 784});
    const at::Tensor there = card.put(images);
    EXPECT_TRUE(there.is_cuda());
    EXPECT_TRUE(there.cpu().equal(images));
    EXPECT_EQ(live(Category::input) - before, static_cast<int64_t>(images.nbytes()));
    EXPECT_GE(cuda_allocator_peaks(0).allocated_bytes, 64 * 784 * 4);
    EXPECT_GE(cuda_allocator_peaks(0).reserved_bytes,
              cuda_allocator_peaks(0).allocated_bytes);
  }
  EXPECT_EQ(live(Category::input), before);
}

TEST_F(CudaTest, BackwardOnAutogradsThreadCountsToTheCard) {
  const Card card = make_cards("cuda", 1, 1).front();
  const CardScope scope(card);
  torch::nn::Linear layer(100, 50);
  layer->to(card.torch_device());
  const GradientTags tags(layer->parameters());
  const at::Tensor loss = layer->forward(card.put(torch::rand({32, 100}))).sum();
  loss.backward();
  EXPECT_EQ(live(Category::gradients), (100 * 50 + 50) * 4);
}

TEST_F(CudaTest, MarksTellTheCardsTimeNotTheHosts) {
  const Card card = make_cards("cuda", 1, 1).front();
  const CardScope scope(card);
  at::Tensor a = torch::rand({2048, 2048}, card.torch_device());
  for (int i = 0; i < 3; ++i) a = torch::mm(a, a).div_(2048);  // warm
  const Mark start(card);
  for (int i = 0; i < 50; ++i) a = torch::mm(a, a).div_(2048);
  const Mark end(card);
  const Mark later(card);
  EXPECT_GT(end.ms_since(start), 0.1);
  EXPECT_LT(later.ms_since(end), end.ms_since(start)) << "nothing between them";
}

TEST_F(CudaTest, AThreadsScopeSetsItsDevice) {
  const auto cards = make_cards("cuda", cuda_devices().count, 1);
  for (const Card& card : cards) {
    std::thread([&] {
      const CardScope scope(card);
      EXPECT_EQ(torch::ones({1}, at::kCUDA).device(), card.torch_device());
    }).join();
  }
}

}  // namespace
}  // namespace lockstep::device
