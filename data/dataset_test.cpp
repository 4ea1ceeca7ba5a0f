#include "data/dataset.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <numeric>
#include <stdexcept>
#include <vector>

#include "data/data_folder.h"
#include "data/gzip.h"
#include "data/idx.h"

namespace lockstep::data {
namespace {

Batch first(const Samples& samples, int64_t count, at::ScalarType type = at::kFloat) {
  std::vector<int64_t> indices(static_cast<size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return samples.take(indices, type);
}

// Debian's package, which the README asks for. torchvision's ToTensor and Normalize, in
// LibTorch's own operators, must give the same bits.
TEST(DatasetTest, FashionMnistIsNormalisedAsTorchvisionDoes) {
  const Dataset dataset = load_fashion_mnist({});
  ASSERT_EQ(dataset.train.size(), 60000);
  ASSERT_EQ(dataset.test.size(), 10000);
  const IdxFiles files = find_idx_files("fashion-mnist");
  const auto check = [](const Samples& samples,
                        const std::filesystem::path& images_path,
                        const std::filesystem::path& labels_path) {
    auto bytes = read_maybe_gzip(images_path);
    auto label_bytes = read_maybe_gzip(labels_path);
    constexpr int64_t kImages = 777;
    const at::Tensor pixels =
        torch::from_blob(bytes.data() + 16, {kImages, 1, 28, 28}, at::kByte);
    const at::Tensor expected = (pixels.to(at::kFloat) / 255).sub(0.1307).div(0.3081);
    const Batch batch = first(samples, kImages);
    EXPECT_TRUE(batch.images.equal(expected));
    EXPECT_TRUE(
        first(samples, kImages, at::kDouble).images.equal(expected.to(at::kDouble)));
    EXPECT_TRUE(batch.labels.equal(
        torch::from_blob(label_bytes.data() + 8, {kImages}, at::kByte).to(at::kLong)));
  };
  check(dataset.train, files.train_images, files.train_labels);
  check(dataset.test, files.test_images, files.test_labels);
}

TEST(DatasetTest, TakesTheChosenSamplesInTheirOrder) {
  const at::Tensor inputs = torch::randint(0, 256, {6, 1, 2, 3}, at::kByte);
  const Samples samples(inputs, torch::tensor({5, 4, 3, 2, 1, 0}, at::kLong));
  const std::vector<int64_t> chosen = {4, 0, 4};
  const Batch batch = samples.take(chosen, at::kFloat);
  EXPECT_TRUE(batch.labels.equal(torch::tensor({1, 5, 1}, at::kLong)));
  EXPECT_EQ(batch.images.sizes(), at::IntArrayRef({3, 1, 2, 3}));
  EXPECT_TRUE(batch.images[0].equal(batch.images[2]));
  EXPECT_TRUE(batch.images[1].equal(first(samples, 1).images[0]));
}

TEST(DatasetTest, WhatIsNotThereIsRefused) {
  const Samples samples(torch::zeros({2, 3}), torch::zeros({2}, at::kLong));
  EXPECT_THROW(samples.take(std::vector<int64_t>{2}, at::kFloat), std::out_of_range);
  EXPECT_THROW(samples.take(std::vector<int64_t>{-1}, at::kFloat), std::out_of_range);
  EXPECT_THROW(Samples(torch::zeros({2, 3}), torch::zeros({3}, at::kLong)),
               std::runtime_error);
  EXPECT_THROW(load_mnist({"/no/such/folder"}), std::runtime_error);
}

// The share that a straight line through the training samples gets right of the test
// ones.
double linear_accuracy(const Dataset& dataset, int64_t train_size) {
  const Batch train = first(dataset.train, train_size, at::kDouble);
  const Batch test = first(dataset.test, 1000, at::kDouble);
  const auto with_one = [](const at::Tensor& inputs) {
    const at::Tensor flat = inputs.flatten(1);
    return torch::cat({flat, torch::ones({flat.size(0), 1}, at::kDouble)}, 1);
  };
  const at::Tensor x = with_one(train.images);
  const at::Tensor target = torch::one_hot(train.labels, 10).to(at::kDouble);
  const at::Tensor ridge = torch::eye(x.size(1), at::kDouble) * 10;
  const at::Tensor weight =
      at::linalg_solve(x.t().matmul(x) + ridge, x.t().matmul(target));
  const at::Tensor predicted = with_one(test.images).matmul(weight).argmax(1);
  return predicted.eq(test.labels).to(at::kDouble).mean().item<double>();
}

TEST(DatasetTest, SyntheticImagesAreAlwaysTheSameAndLearnable) {
  torch::manual_seed(1);
  const Dataset once = make_synthetic_images({});
  torch::manual_seed(2);
  const Dataset again = make_synthetic_images({});
  EXPECT_EQ(once.train.size(), 60000);
  EXPECT_EQ(once.test.size(), 10000);
  for (const auto& [a, b] :
       {std::pair(&once.train, &again.train), std::pair(&once.test, &again.test)}) {
    const Batch first_batch = first(*a, 6001);
    EXPECT_EQ(first_batch.images.sizes(), at::IntArrayRef({6001, 1, 28, 28}));
    EXPECT_TRUE(first_batch.images.equal(first(*b, 6001).images));
    EXPECT_TRUE(first_batch.labels.equal(first(*b, 6001).labels));
  }
  EXPECT_FALSE(first(once.train, 50).images.equal(first(once.test, 50).images));
  const at::Tensor images = first(once.train, 2000).images;
  EXPECT_GE(images.min().item<float>(), -0.1307F / 0.3081F - 1e-5F);
  EXPECT_LE(images.max().item<float>(), (1 - 0.1307F) / 0.3081F + 1e-5F);
  EXPECT_GT(images.std().item<float>(), 0.3F) << "no images of one grey";
  EXPECT_EQ(std::get<0>(at::_unique(first(once.train, 2000).labels)).numel(), 10);
  EXPECT_GT(linear_accuracy(once, 2000), 0.95);
}

TEST(DatasetTest, Features100AreAlwaysTheSameAndLearnable) {
  torch::manual_seed(1);
  const Dataset once = make_features100({});
  torch::manual_seed(2);
  const Dataset again = make_features100({});
  EXPECT_EQ(once.train.size(), 8192);
  EXPECT_EQ(once.test.size(), 2048);
  const Batch all = first(once.train, 8192);
  EXPECT_EQ(all.images.sizes(), at::IntArrayRef({8192, 100}));
  EXPECT_TRUE(all.images.equal(first(again.train, 8192).images));
  EXPECT_TRUE(all.labels.equal(first(again.train, 8192).labels));
  EXPECT_NEAR(all.images.mean().item<float>(), 0, 0.01);
  EXPECT_NEAR(all.images.std().item<float>(), 1, 0.01);
  EXPECT_GT(linear_accuracy(once, 8192), 0.7) << "chance is 0.1";
}

}  // namespace
}  // namespace lockstep::data
