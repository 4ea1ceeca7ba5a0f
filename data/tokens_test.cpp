// Tokens and the images of CIFAR-10 as samples, from files that are written here.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <fstream>
#include <numeric>
#include <stdexcept>

#include "data/dataset.h"
#include "tests/test_folder.h"

namespace lockstep::data {
namespace {

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

Batch take(const Samples& samples, std::vector<int64_t> indices,
           at::ScalarType type = at::kFloat) {
  return samples.take(indices, type);
}

TEST(TokensTest, OfATextAreItsBytesAndTheOnesThatFollow) {
  const TestFolder folder;
  std::string text;
  for (int i = 0; i < 64 * 20 + 5; ++i) text += static_cast<char>(i * 7 % 251);
  write(folder / "text", text);
  const Dataset dataset = load_tokens({folder / "text"});
  ASSERT_EQ(dataset.train.size(), 18);
  ASSERT_EQ(dataset.test.size(), 2);
  EXPECT_EQ(dataset.train.labels_each(), 64);
  const auto expect = [&](const Samples& samples, int64_t sample, int64_t start) {
    const Batch batch = take(samples, {0, sample}, at::kDouble);
    EXPECT_EQ(batch.images.scalar_type(), at::kLong) << "fp64 is not for tokens";
    EXPECT_EQ(batch.images.sizes(), at::IntArrayRef({2, 64}));
    for (int64_t i = 0; i < 64; ++i) {
      const auto at_i = static_cast<size_t>(start + i);
      EXPECT_EQ(batch.images[1][i].item<int64_t>(), static_cast<uint8_t>(text[at_i]));
      EXPECT_EQ(batch.labels[1][i].item<int64_t>(),
                static_cast<uint8_t>(text[at_i + 1]));
    }
  };
  expect(dataset.train, 17, 17 * 64);
  expect(dataset.test, 0, 18 * 64);
  expect(dataset.test, 1, 19 * 64);
}

TEST(TokensTest, AFileThatWillNotDoIsNamed) {
  const TestFolder folder;
  const auto refusal = [&](const std::string& path) -> std::string {
    try {
      load_tokens({path, /*vocabulary=*/200});
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "accepted";
  };
  write(folder / "short", "Call me Ishmael.");
  write(folder / "beyond", std::string(300, '\xff'));
  for (const auto& [name, why] :
       {std::pair("missing", "cannot be read: No such file"),
        std::pair("", "is a folder"), std::pair("short", "only 16 bytes"),
        std::pair("beyond", "byte 0 is 255")}) {
    EXPECT_EQ(
        refusal(folder / name).rfind("--data-dir " + (folder / name) + ": " + why, 0),
        0u)
        << refusal(folder / name);
  }
}

TEST(TokensTest, OfTheChainAreAlwaysTheSameAndLearnable) {
  torch::manual_seed(1);
  const Dataset once = load_tokens({.vocabulary = 500});
  torch::manual_seed(2);
  const Dataset again = load_tokens({.vocabulary = 500});
  ASSERT_EQ(once.train.size(), 4096);
  ASSERT_EQ(once.test.size(), 256);
  const std::vector<int64_t> some = {0, 7, 255};
  EXPECT_TRUE(take(once.test, some).images.equal(take(again.test, some).images));
  EXPECT_FALSE(take(once.test, some).images.equal(take(once.train, some).images));
  const Batch batch = take(once.train, some);
  EXPECT_TRUE(batch.images.narrow(1, 1, 63).equal(batch.labels.narrow(1, 0, 63)));
  EXPECT_LT(batch.images.max().item<int64_t>(), 500);

  // What followed most often in the training half follows in the test half.
  std::vector<int64_t> all(4096);
  std::iota(all.begin(), all.end(), 0);
  const Batch train = take(once.train, all);
  at::Tensor counts = torch::zeros({500, 500}, at::kLong);
  counts.view(-1).index_add_(0, (train.images * 500 + train.labels).view(-1),
                             torch::ones({4096 * 64}, at::kLong));
  const Batch test = take(once.test, some);
  const at::Tensor guess = counts.argmax(1).index_select(0, test.images.view(-1));
  const double right =
      guess.eq(test.labels.view(-1)).to(at::kDouble).mean().item<double>();
  EXPECT_GT(right, 0.2) << "chance is 0.002";
}

TEST(CifarDatasetTest, ChannelsAreNormalisedAsTorchvisionDoes) {
  const TestFolder folder;
  torch::manual_seed(3);
  std::vector<at::Tensor> files;
  for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                           "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
    at::Tensor records = torch::randint(0, 256, {3, 3073}, at::kByte);
    records.select(1, 0).remainder_(10);
    write(folder / name,
          {static_cast<const char*>(records.const_data_ptr()), 3 * 3073});
    files.push_back(records);
  }
  const Dataset dataset = load_cifar10({folder / ""});
  ASSERT_EQ(dataset.train.size(), 15);
  ASSERT_EQ(dataset.test.size(), 3);
  const Batch batch = take(dataset.train, {4, 14});
  const at::Tensor records = torch::stack({files[1][1], files[4][2]});
  const at::Tensor pixels = records.narrow(1, 1, 3072).view({2, 3, 32, 32});
  const auto of_channels = [](double r, double g, double b) {
    return torch::tensor({r, g, b}, at::kFloat).view({1, 3, 1, 1});
  };
  const at::Tensor expected = (pixels.to(at::kFloat) / 255)
                                  .sub(of_channels(0.4914, 0.4822, 0.4465))
                                  .div(of_channels(0.2470, 0.2435, 0.2616));
  EXPECT_TRUE(batch.images.equal(expected));
  EXPECT_TRUE(batch.labels.equal(records.select(1, 0).to(at::kLong)));
}

}  // namespace
}  // namespace lockstep::data
