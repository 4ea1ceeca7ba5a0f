// Convolutions by Winograd's filtering and the layer that uses them, against
// at::conv2d() in fp64.
#include "model/conv.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "model/processor.h"
#include "model/winograd.h"

namespace lockstep::model {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  return ((found.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

struct Shape {
  int64_t images, in, out, height, width;
};

std::string name_of(const testing::TestParamInfo<Shape>& info) {
  const Shape& shape = info.param;
  return std::to_string(shape.images) + "x" + std::to_string(shape.in) + "to" +
         std::to_string(shape.out) + "of" + std::to_string(shape.height) + "x" +
         std::to_string(shape.width);
}

class WinogradTest : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    if (!processor_has_avx512()) GTEST_SKIP() << "waived: no AVX-512 here";
    threads_ = at::get_num_threads();
    torch::manual_seed(7);
    const Shape& s = GetParam();
    input_ = torch::randn({s.images, s.in, s.height, s.width});
    weight_ = torch::randn({s.out, s.in, 3, 3});
    gradient_ = torch::randn({s.images, s.out, s.height, s.width});
  }
  void TearDown() override {
    if (threads_ > 0) at::set_num_threads(threads_);
  }

  // All three products, in these layouts, against those of fp64.
  void expect_plain(const at::Tensor& input, const at::Tensor& weight,
                    const at::Tensor& gradient) const {
    const at::Tensor wide_input = input.to(at::kDouble).requires_grad_();
    const at::Tensor wide_weight = weight.to(at::kDouble).requires_grad_();
    const at::Tensor expected = at::conv2d(wide_input, wide_weight, {}, 1, 1);
    expected.backward(gradient.to(at::kDouble));
    ASSERT_TRUE(suits_winograd(input, weight));
    EXPECT_LT(relative_error(winograd_convolution(input, weight), expected), 2e-6);
    EXPECT_LT(
        relative_error(winograd_input_gradient(gradient, weight), wide_input.grad()),
        2e-6);
    const at::Tensor found = winograd_weight_gradient(input, gradient, weight);
    EXPECT_LT(relative_error(found, wide_weight.grad()), 2e-6);
    EXPECT_EQ(found.strides(), weight.strides());
  }

  int threads_ = 0;
  at::Tensor input_;
  at::Tensor weight_;
  at::Tensor gradient_;
};

TEST_P(WinogradTest, IsThePlainSum) {
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    expect_plain(input_, weight_, gradient_);
  }
}

TEST_P(WinogradTest, TakesEveryLayout) {
  expect_plain(input_.contiguous(kChannelsLast), weight_.contiguous(kChannelsLast),
               gradient_.contiguous(kChannelsLast));
  // Turned on their side, off any alignment, and one number for all.
  const at::Tensor shifted =
      torch::randn({input_.numel() + 1}).narrow(0, 1, input_.numel());
  expect_plain(shifted.view(input_.sizes()), weight_.transpose(2, 3),
               torch::ones({1}).expand(gradient_.sizes()));
  const at::Tensor shifted_last =
      shifted.view({input_.size(0), input_.size(2), input_.size(3), input_.size(1)})
          .permute({0, 3, 1, 2});
  expect_plain(shifted_last, weight_, gradient_.flip(0));
}

// Whole tiles and cut ones, fewer tiles than are transformed at once and a few more.
INSTANTIATE_TEST_SUITE_P(Shapes, WinogradTest,
                         testing::Values(Shape{1, 32, 32, 1, 1}, Shape{2, 32, 64, 2, 5},
                                         Shape{3, 64, 32, 7, 7},
                                         Shape{2, 96, 32, 13, 18},
                                         Shape{1, 64, 64, 28, 28},
                                         Shape{5, 128, 256, 4, 3}),
                         name_of);

TEST(SuitsWinograd, OnlyWhatItsKernelsTake) {
  const at::Tensor input = torch::rand({2, 32, 6, 6});
  const at::Tensor weight = torch::rand({64, 32, 3, 3});
  EXPECT_EQ(suits_winograd(input, weight), processor_has_avx512());
  EXPECT_FALSE(suits_winograd(input.to(at::kDouble), weight.to(at::kDouble)));
  EXPECT_FALSE(suits_winograd(input, weight.to(at::kDouble)));
  EXPECT_FALSE(suits_winograd(input[0], weight));
  EXPECT_FALSE(suits_winograd(input.narrow(0, 0, 0), weight));
  EXPECT_FALSE(suits_winograd(input, torch::rand({64, 16, 3, 3})));
  EXPECT_FALSE(suits_winograd(torch::rand({2, 16, 6, 6}), torch::rand({64, 16, 3, 3})));
  EXPECT_FALSE(suits_winograd(input, torch::rand({40, 32, 3, 3})));
  EXPECT_FALSE(suits_winograd(input, torch::rand({4128, 32, 3, 3})));
  EXPECT_FALSE(suits_winograd(input, torch::rand({64, 32, 5, 5})));
  EXPECT_FALSE(suits_winograd(input, torch::rand({64, 32, 3, 1})));
}

struct Layer {
  int64_t in, out, kernel, stride;
  bool bias;
};
const std::vector<Layer> kLayers = {{1, 64, 3, 1, false},  {64, 64, 3, 1, false},
                                    {64, 96, 3, 2, false}, {32, 64, 1, 2, false},
                                    {3, 7, 5, 1, false},   {1, 16, 5, 1, true},
                                    {32, 32, 3, 1, true}};

TEST(ConvTest, DrawsTheParametersOfTorchsConv2d) {
  for (const Layer& l : kLayers) {
    torch::manual_seed(3);
    const Conv ours(l.in, l.out, l.kernel, l.stride, l.bias);
    torch::manual_seed(3);
    const torch::nn::Conv2d theirs(
        torch::nn::Conv2dOptions(l.in, l.out, l.kernel).bias(l.bias));
    const auto parameters = ours->named_parameters();
    const auto expected = theirs->named_parameters();
    ASSERT_EQ(parameters.keys(), expected.keys());
    for (const std::string& name : expected.keys()) {
      EXPECT_TRUE(parameters[name].equal(expected[name])) << name;
    }
  }
}

// Forward and both gradients; in fp64 they are at::conv2d()'s own, to the bit.
TEST(ConvTest, IsAtsConv2dInEveryShapeAndType) {
  for (const Layer& l : kLayers) {
    for (const auto type : {at::kFloat, at::kDouble}) {
      Conv conv(l.in, l.out, l.kernel, l.stride, l.bias);
      conv->to(type);
      const at::Tensor weight = conv->parameters().front();
      const at::Tensor images = torch::randn({3, l.in, 9, 8}, type).requires_grad_();
      const at::Tensor found = conv->forward(images);
      const at::Tensor wide_images = images.detach().to(at::kDouble).requires_grad_();
      const at::Tensor wide = weight.detach().to(at::kDouble).requires_grad_();
      at::Tensor bias;
      if (l.bias)
        bias = conv->parameters()[1].detach().to(at::kDouble).requires_grad_();
      const at::Tensor expected =
          at::conv2d(wide_images, wide, bias, l.stride, l.kernel / 2);
      const at::Tensor gradient = torch::randn(found.sizes(), type);
      found.backward(gradient);
      expected.backward(gradient.to(at::kDouble));
      const double bound = type == at::kDouble ? 0 : 2e-6;
      EXPECT_LE(relative_error(found, expected), bound);
      EXPECT_LE(relative_error(images.grad(), wide_images.grad()), bound);
      EXPECT_LE(relative_error(weight.grad(), wide.grad()), bound);
      if (l.bias) {
        EXPECT_LE(relative_error(conv->parameters()[1].grad(), bias.grad()), bound);
      }
      const at::NoGradGuard no_grad;
      EXPECT_TRUE(conv->forward(images).equal(found));
    }
  }
}

TEST(ConvTest, GradientsOnlyWhereTheyAreWanted) {
  Conv conv(32, 32, 3, 1, /*bias=*/false);
  const at::Tensor weight = conv->parameters().front();
  const at::Tensor images = torch::randn({2, 32, 4, 4});
  conv->forward(images).sum().backward();
  EXPECT_TRUE(weight.grad().defined());
  EXPECT_FALSE(images.grad().defined());
  weight.mutable_grad().reset();
  weight.requires_grad_(false);
  images.requires_grad_();
  conv->forward(images).sum().backward();
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_TRUE(images.grad().defined());
}

TEST(ConvTest, GivesChannelsLastWhereThatIsQuicker) {
  for (const Layer& l : kLayers) {
    Conv conv(l.in, l.out, l.kernel, l.stride, l.bias);
    const at::Tensor images = torch::rand({2, l.in, 6, 6});
    EXPECT_EQ(conv->forward(images).is_contiguous(kChannelsLast),
              processor_has_avx512());
    conv->to(at::kDouble);
    EXPECT_TRUE(conv->forward(images.to(at::kDouble)).is_contiguous());
  }
}

TEST(ConvTest, RefusesWhatDoesNotFitAsAtsConv2dDoes) {
  Conv conv(32, 32, 3, 1, /*bias=*/false);
  EXPECT_THROW(conv->forward(torch::rand({2, 64, 4, 4})), c10::Error);
  EXPECT_THROW(conv->forward(torch::rand({2, 32, 4, 4}, at::kDouble)), c10::Error);
  EXPECT_THROW(conv->forward(torch::rand({32})), c10::Error);
}

}  // namespace
}  // namespace lockstep::model
