// Our batch norm against LibTorch's in fp64.
#include "model/batch_norm.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>

#include "model/processor.h"

namespace lockstep::model {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  return ((found.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

// A layer with parameters that are not 1 and 0, and LibTorch's in fp64 with the same.
struct Pair {
  explicit Pair(int64_t channels)
      : ours(channels), theirs(torch::nn::BatchNormOptions(channels)) {
    const at::NoGradGuard no_grad;
    ours->weight.uniform_(0.5, 2);
    ours->bias.normal_();
    theirs->to(at::kDouble);
    theirs->weight.copy_(ours->weight);
    theirs->bias.copy_(ours->bias);
  }

  void expect_same(const at::Tensor& images, const at::Tensor& gradient, double bound) {
    const at::Tensor x = images.detach().requires_grad_();
    const at::Tensor wide = images.detach().to(at::kDouble).requires_grad_();
    ours->zero_grad();
    theirs->zero_grad();
    const at::Tensor y = ours->forward(x);
    const at::Tensor expected = theirs->forward(wide);
    y.backward(gradient);
    expected.backward(gradient.to(at::kDouble));
    EXPECT_LE(relative_error(y, expected), bound);
    EXPECT_LE(relative_error(x.grad(), wide.grad()), bound);
    EXPECT_LE(relative_error(ours->weight.grad(), theirs->weight.grad()), bound);
    EXPECT_LE(relative_error(ours->bias.grad(), theirs->bias.grad()), bound);
    EXPECT_LE(relative_error(ours->running_mean, theirs->running_mean), bound);
    EXPECT_LE(relative_error(ours->running_var, theirs->running_var), bound);
    EXPECT_TRUE(ours->num_batches_tracked.equal(theirs->num_batches_tracked));
    const at::NoGradGuard no_grad;
    ours->eval();
    theirs->eval();
    EXPECT_LE(relative_error(ours->forward(images), theirs->forward(wide)), bound);
    ours->train();
    theirs->train();
  }

  BatchNorm ours;
  torch::nn::BatchNorm2d theirs;
};

class BatchNormTest : public testing::Test {
 protected:
  BatchNormTest() : threads_(at::get_num_threads()) { torch::manual_seed(5); }
  ~BatchNormTest() override { at::set_num_threads(threads_); }

  int threads_;
};

// Steps of one layer, for the running statistics; few rows and more than a thread's.
TEST_F(BatchNormTest, IsLibTorchsInFp64) {
  const double bound = processor_has_avx512() ? 1e-6 : 1e-5;
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    for (const int64_t channels : {16, 96}) {
      Pair pair(channels);
      for (const int64_t size : {1, 5, 23}) {
        const at::Tensor images = torch::randn({7, channels, size, size + 1}) * 3 + 1;
        const at::Tensor gradient = torch::randn(images.sizes());
        pair.expect_same(images.contiguous(kChannelsLast),
                         gradient.contiguous(kChannelsLast), bound);
        pair.expect_same(images.contiguous(kChannelsLast), gradient, bound);
        pair.expect_same(images, gradient, bound);
      }
    }
  }
}

// Far from 0 a sum of squares would be all rounding.
TEST_F(BatchNormTest, TheMeanMayBeFarFromZero) {
  if (!processor_has_avx512()) GTEST_SKIP() << "waived: no AVX-512 here";
  Pair pair(32);
  const at::Tensor images = torch::randn({16, 32, 28, 28}) + 1000;
  pair.expect_same(images.contiguous(kChannelsLast),
                   torch::randn(images.sizes()).contiguous(kChannelsLast), 5e-5);
}

// Where LibTorch's own, summing row by row, is at 3e-6.
TEST_F(BatchNormTest, ManyRowsAreSummedExactly) {
  if (!processor_has_avx512()) GTEST_SKIP() << "waived: no AVX-512 here";
  Pair pair(16);
  const at::Tensor images =
      (torch::randn({64, 16, 28, 28}) * 3 + 1).contiguous(kChannelsLast);
  const at::Tensor y = pair.ours->forward(images);
  EXPECT_LT(relative_error(y, pair.theirs->forward(images.to(at::kDouble))), 2e-7);
  EXPECT_TRUE(y.is_contiguous(kChannelsLast));
}

TEST_F(BatchNormTest, IsLibTorchsOwnInFp64AndForOtherChannels) {
  for (const int64_t channels : {32, 10}) {
    for (const auto type : {at::kDouble, at::kFloat}) {
      if (channels == 32 && type == at::kFloat) continue;
      BatchNorm ours(channels);
      torch::nn::BatchNorm2d theirs(torch::nn::BatchNormOptions{channels});
      ours->to(type);
      theirs->to(type);
      const at::Tensor images =
          torch::randn({3, channels, 4, 4}, type).contiguous(kChannelsLast);
      EXPECT_TRUE(ours->forward(images).equal(theirs->forward(images)));
      EXPECT_TRUE(ours->running_var.equal(theirs->running_var));
    }
  }
}

TEST_F(BatchNormTest, GradientsOnlyWhereTheyAreWanted) {
  BatchNorm norm(16);
  const at::Tensor images = torch::randn({2, 16, 3, 3}).contiguous(kChannelsLast);
  norm->forward(images).pow(2).sum().backward();
  EXPECT_TRUE(norm->weight.grad().defined());
  EXPECT_FALSE(images.grad().defined());
}

TEST_F(BatchNormTest, RefusesWhatLibTorchRefuses) {
  BatchNorm norm(16);
  EXPECT_THROW(norm->forward(torch::rand({2, 16, 3})), c10::Error);
  EXPECT_THROW(norm->forward(torch::rand({1, 16, 1, 1})), std::exception);
  EXPECT_THROW(norm->forward(torch::rand({2, 32, 3, 3}).contiguous(kChannelsLast)),
               c10::Error);
}

TEST_F(BatchNormTest, ACloneIsOfTheSameKind) {
  const BatchNorm norm(16);
  const auto clone = norm->clone();
  EXPECT_NE(std::dynamic_pointer_cast<BatchNormImpl>(clone), nullptr);
}

}  // namespace
}  // namespace lockstep::model
