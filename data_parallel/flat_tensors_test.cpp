#include "data_parallel/flat_tensors.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

namespace lockstep::data_parallel {
namespace {

namespace nn = torch::nn;

nn::Sequential odd_module() {
  const nn::Linear tied(5, 5);
  nn::Sequential module(nn::Conv2d(nn::Conv2dOptions(3, 7, 3)), nn::BatchNorm2d(7),
                        tied, nn::Linear(5, 1), tied);
  at::Tensor weight = module->parameters()[0];
  weight.set_data(weight.detach().clone(at::MemoryFormat::ChannelsLast));
  module->ptr(3)->to(at::kDouble);
  return module;
}

TEST(FlatTensorsTest, AreTheSameTensorsInOnePiece) {
  const nn::Sequential module = odd_module();
  const Tensors state = state_of(*module);
  Tensors before;
  for (const at::Tensor& tensor : state) before.push_back(tensor.detach().clone());
  const FlatLayout layout(state);
  const at::Tensor flat = layout.flatten(state);
  EXPECT_TRUE(layout.lies_in(flat, state));
  for (size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(state[i].equal(before[i])) << i;
    EXPECT_EQ(state[i].strides(), before[i].strides()) << i;
    EXPECT_EQ(state[i].dtype(), before[i].dtype()) << i;
    EXPECT_TRUE(state[i].is_alias_of(flat)) << i;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(state[i].const_data_ptr()) % 64, 0U) << i;
    for (size_t j = 0; j < i; ++j) {
      EXPECT_EQ(state[i].const_data_ptr() == state[j].const_data_ptr(),
                state[i].is_same(state[j]))
          << i << " and " << j << ": the tied alone share a place";
    }
  }
}

TEST(FlatTensorsTest, OneCopyRefreshesACopyOfTheModule) {
  const nn::Sequential module = odd_module();
  const nn::Sequential copy(
      std::dynamic_pointer_cast<nn::SequentialImpl>(module->clone()));
  const FlatLayout layout(state_of(*module));
  const at::Tensor flat = layout.flatten(state_of(*module));
  at::Tensor other = layout.flatten(state_of(*copy));
  {
    const at::NoGradGuard no_grad;
    for (at::Tensor& tensor : state_of(*module)) tensor.add_(3);
  }
  other.copy_(flat);
  const Tensors wanted = state_of(*module), found = state_of(*copy);
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_TRUE(found[i].equal(wanted[i])) << i;
}

TEST(FlatTensorsTest, AModuleThatWasGivenOtherTensorsIsNoticed) {
  const nn::Sequential module = odd_module();
  const FlatLayout layout(state_of(*module));
  const at::Tensor flat = layout.flatten(state_of(*module));
  at::Tensor bias = module->parameters()[1];
  bias.set_data(bias.detach().clone());
  EXPECT_FALSE(layout.lies_in(flat, state_of(*module)));
}

TEST(FlatTensorsTest, ATensorWithoutNumbersLiesAnywhere) {
  const nn::Sequential module(nn::Linear(3, 2), nn::Linear(2, 0));
  const FlatLayout layout(state_of(*module));
  const at::Tensor flat = layout.flatten(state_of(*module));
  EXPECT_TRUE(layout.lies_in(flat, state_of(*module)));
}

TEST(FlatTensorsTest, AModuleWithoutTensorsHasNothing) {
  const nn::Sequential module{nn::ReLU()};
  const FlatLayout layout(state_of(*module));
  EXPECT_FALSE(layout.flatten(state_of(*module)).defined());
}

}  // namespace
}  // namespace lockstep::data_parallel
