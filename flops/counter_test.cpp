// Against arithmetic by hand, and against PyTorch's own counter in Python.
#include "flops/counter.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>
#include <ATen/autocast_mode.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/types.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "launch/process.h"
#include "model/networks.h"

namespace lockstep::flops {
namespace {

// Of one forward and backward.
int64_t counted(Network model, const at::Tensor& batch) {
  const Counter counter;
  model->forward(batch).sum().backward();
  return counter.flops();
}

// Two multiplications and additions of each weight for each place that it is at, three
// times: forward, and the gradients of what came in and of the weight. Images need
// none.
constexpr int64_t kBatch = 3;
constexpr int64_t kMlp = 2 * kBatch * (2 * 784 * 256 + 3 * 256 * 10);
constexpr int64_t kConvnet =
    2 * kBatch * (2 * 28 * 28 * 16 * 25 + 3 * 14 * 14 * 32 * 16 * 25 + 3 * 1568 * 10);

TEST(CounterTest, NetworksTakeWhatArithmeticSays) {
  at::set_num_threads(1);
  const at::Tensor images = torch::rand({kBatch, 1, 28, 28});
  for (const auto& [make, flops] :
       {std::pair(&model::mlp, kMlp), std::pair(&model::convnet, kConvnet)}) {
    Network model = make({});
    EXPECT_EQ(counted(model, images), flops);
    EXPECT_EQ(counted(model, images.to(at::MemoryFormat::ChannelsLast)), flops);
    model->to(at::kDouble);  // LibTorch's products, not oneDNN's
    EXPECT_EQ(counted(model, images.to(at::kDouble)), flops);
  }
}

TEST(CounterTest, AutocastChangesNothing) {
  Network model = model::mlp({});
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const int64_t flops = counted(model, torch::rand({kBatch, 1, 28, 28}));
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_EQ(flops, kMlp);
}

TEST(CounterTest, NetworksTakeWhatPythonCounts) {
  const std::map<std::string, Network (*)(const model::Inputs&)> networks = {
      {"convnet", &model::convnet},
      {"resnet18", &model::resnet18},
      {"transformer", &model::transformer}};
  launch::Command command;
  command.argv = {
      std::getenv("LOCKSTEP_PYTHON"),
      std::string(std::getenv("LOCKSTEP_SOURCE")) + "/flops/counted_by_python.py"};
  for (const auto& [name, make] : networks) command.argv.push_back(name);
  command.out = launch::Output::kCapture;
  launch::Process process(command);
  ASSERT_EQ(process.wait().code, 0);
  const nlohmann::json python = nlohmann::json::parse(process.out());
  model::Inputs inputs;
  inputs.channels = 3;
  inputs.height = inputs.width = 32;
  inputs.vocabulary = 100;
  inputs.length = 24;
  for (const auto& [name, make] : networks) {
    const bool tokens = name.rfind("transformer", 0) == 0;
    const at::Tensor batch =
        tokens ? torch::randint(100, {2, 24}, at::kLong) : torch::rand({2, 3, 32, 32});
    EXPECT_EQ(counted(make(inputs), batch), python.at(name)) << name;
  }
}

TEST(CounterTest, AConvolutionTakesItsOutputsPixels) {
  const at::Tensor images = torch::rand({2, 6, 11, 9}).requires_grad_();
  const at::Tensor weight = torch::rand({8, 3, 5, 3}).requires_grad_();
  // Padded by 2 and 1, each other row, dilated columns: 6 x 7 pixels; 2 groups.
  const Counter counter;
  const at::Tensor output =
      at::conv2d(images, weight, {}, {2, 1}, {2, 1}, {1, 2}, /*groups=*/2);
  ASSERT_EQ(output.sizes(), (std::vector<int64_t>{2, 8, 6, 7}));
  const int64_t forward = 2 * 2 * 6 * 7 * (8 * 3 * 5 * 3);
  EXPECT_EQ(counter.flops(), forward);
  output.sum().backward();
  EXPECT_EQ(counter.flops(), 3 * forward);
}

TEST(CounterTest, ATransposedConvolutionTakesItsInputsPixels) {
  const at::Tensor images = torch::rand({2, 6, 5, 4}).requires_grad_();
  const at::Tensor weight = torch::rand({6, 3, 3, 3});  // no gradient of it
  const Counter counter;
  const at::Tensor output = at::conv_transpose2d(images, weight, {}, 2, 1);
  const int64_t forward = 2 * 2 * 5 * 4 * (6 * 3 * 3 * 3);
  EXPECT_EQ(counter.flops(), forward);
  output.sum().backward();
  EXPECT_EQ(counter.flops(), 2 * forward);
}

TEST(CounterTest, ProductsOfMatricesInBatches) {
  const at::Tensor a = torch::rand({4, 5, 6});
  const at::Tensor b = torch::rand({4, 6, 7});
  const Counter counter;
  at::bmm(a, b);
  EXPECT_EQ(counter.flops(), 2 * 4 * 5 * 6 * 7);
  at::baddbmm(torch::rand({4, 5, 7}), a, b);
  EXPECT_EQ(counter.flops(), 4 * 4 * 5 * 6 * 7);
  at::matmul(a, b[0]);
  EXPECT_EQ(counter.flops(), 6 * 4 * 5 * 6 * 7);
  a + a;
  EXPECT_EQ(counter.flops(), 6 * 4 * 5 * 6 * 7) << "what is small beside them";
}

TEST(CounterTest, ItCountsForThreadsUnderItsStateAndForNoOthers) {
  const at::Tensor a = torch::rand({5, 5});
  const Counter counter;
  const at::ThreadLocalState state;
  std::thread([&] {
    const Counter own;  // as another rank's
    at::mm(a, a);
    EXPECT_EQ(own.flops(), 250);
  }).join();
  EXPECT_EQ(counter.flops(), 0);
  std::thread([&] {
    const at::ThreadLocalStateGuard guard(state);
    at::mm(a, a);
  }).join();
  EXPECT_EQ(counter.flops(), 250);
}

TEST(CounterTest, NothingIsLeftOfIt) {
  { const Counter counter; }
  EXPECT_FALSE(at::hasThreadLocalCallbacks());
  EXPECT_FALSE(at::hasGlobalCallbacks());
  EXPECT_EQ(c10::ThreadLocalDebugInfo::current(), nullptr);
}

}  // namespace
}  // namespace lockstep::flops
