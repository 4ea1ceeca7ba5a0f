#include "ddp/bucket.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <random>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "device/ledger_allocator.h"
#include "device/memory_ledger.h"
#include "training/options.h"

namespace lockstep::ddp {
namespace {

using Assignment = std::vector<std::vector<size_t>>;

std::vector<at::Tensor> floats(const std::vector<int64_t>& sizes) {
  std::vector<at::Tensor> tensors;
  for (const int64_t size : sizes) tensors.push_back(torch::rand({size}));
  return tensors;
}

// LibTorch's own, given the parameters in the order in which backward makes gradients.
Assignment oracle(const std::vector<at::Tensor>& parameters, int64_t first_cap,
                  int64_t cap) {
  const std::vector<at::Tensor> reversed(parameters.rbegin(), parameters.rend());
  const auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
      reversed,
      {static_cast<size_t>(std::min(first_cap, cap)), static_cast<size_t>(cap)});
  Assignment result = buckets;
  for (auto& bucket : result) {
    for (size_t& index : bucket) index = parameters.size() - 1 - index;
  }
  return result;
}

TEST(AssignBucketsTest, InReverseOrderUntilTheCapIsReached) {
  const auto parameters = floats({100, 10, 10, 10, 1});  // 400, 40, 40, 40, 4 bytes
  EXPECT_EQ(assign_buckets(parameters, /*first_cap_bytes=*/40, /*cap_bytes=*/80),
            (Assignment{{4, 3}, {2, 1}, {0}}));
  EXPECT_EQ(assign_buckets(parameters, 1, 1000), (Assignment{{4}, {3, 2, 1, 0}}));
}

// A bucket is closed by the parameter that fills it, so it may be larger than its cap
// by that one.
TEST(AssignBucketsTest, TheFirstAtOneMiBAndTheOthersAtTwentyFive) {
  constexpr int64_t kMiB = 1024 * 1024;
  const training::DdpOptions defaults;
  EXPECT_EQ(defaults.first_bucket_cap_mb, 1);
  EXPECT_EQ(defaults.bucket_cap_mb, 25);
  std::vector<at::Tensor> parameters;
  for (const int64_t bytes :
       {3 * kMiB, 24 * kMiB, 1 * kMiB, 20 * kMiB, kMiB / 2, kMiB / 2}) {
    parameters.push_back(torch::empty({bytes / 4}));
  }
  EXPECT_EQ(assign_buckets(parameters, kMiB, 25 * kMiB),
            (Assignment{{5, 4}, {3, 2, 1}, {0}}));
}

TEST(AssignBucketsTest, ACapOfZeroIsOneBucketAParameter) {
  EXPECT_EQ(assign_buckets(floats({3, 0, 5}), 1024, 0), (Assignment{{2}, {1}, {0}}));
}

TEST(AssignBucketsTest, TheFirstBucketIsNeverLargerThanTheOthers) {
  EXPECT_EQ(
      assign_buckets(floats({10, 10, 10}), /*first_cap_bytes=*/1000, /*cap_bytes=*/40),
      (Assignment{{2}, {1}, {0}}));
}

TEST(AssignBucketsTest, OneTypeABucketWithAFirstCapOfItsOwn) {
  std::vector<at::Tensor> parameters = floats({10, 10, 10, 10});
  parameters[1] = parameters[1].to(at::kDouble);
  parameters[3] = parameters[3].to(at::kDouble);
  EXPECT_EQ(assign_buckets(parameters, 1000, 1000), (Assignment{{3, 1}, {2, 0}}));
  EXPECT_EQ(assign_buckets(parameters, 40, 1000), (Assignment{{3}, {2}, {1}, {0}}));
}

TEST(AssignBucketsTest, NoParametersNoBuckets) {
  EXPECT_TRUE(assign_buckets({}, 100, 100).empty());
}

TEST(AssignBucketsTest, AgreesWithLibTorchForRandomParameters) {
  std::mt19937 random(3);
  size_t most = 0;
  for (int i = 0; i < 500; ++i) {
    std::vector<at::Tensor> parameters;
    const size_t count = 1 + random() % 30;
    for (size_t p = 0; p < count; ++p) {
      const auto size = static_cast<int64_t>(1 + random() % 300);
      parameters.push_back(
          torch::empty({size}, random() % 4 == 0 ? at::kDouble : at::kFloat));
    }
    const auto first_cap = static_cast<int64_t>(random() % 2000);
    const auto cap = static_cast<int64_t>(random() % 5000);
    const Assignment buckets = assign_buckets(parameters, first_cap, cap);
    ASSERT_EQ(buckets, oracle(parameters, first_cap, cap)) << first_cap << ", " << cap;
    most = std::max(most, buckets.size());
  }
  EXPECT_GT(most, 3U);
}

std::vector<at::Tensor> odd_parameters(at::ScalarType type) {
  std::vector<at::Tensor> parameters = {
      torch::rand({5, 3}), torch::rand({}),
      torch::rand({3, 2, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast),
      torch::rand({4, 7}).t(),
      torch::rand({6, 4}).narrow(1, 0, 3)};  // with holes: rows in the bucket
  for (at::Tensor& parameter : parameters) {
    // A copy made by to() would have no holes.
    if (type != at::kFloat) parameter = parameter.to(type);
    parameter.requires_grad_();
  }
  return parameters;
}

class BucketTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(BucketTest, GradientsLieInItSideBySide) {
  const auto parameters = odd_parameters(GetParam());
  Bucket bucket(parameters);
  bucket.zero_grad();
  ASSERT_EQ(bucket.flat().sizes(), at::IntArrayRef({15 + 1 + 150 + 28 + 18}));
  EXPECT_EQ(bucket.flat().scalar_type(), GetParam());
  EXPECT_FALSE(bucket.flat().requires_grad());
  {
    const at::NoGradGuard no_grad;
    bucket.flat().copy_(torch::arange(bucket.flat().numel()));
  }
  int64_t offset = 0;
  for (const at::Tensor& parameter : parameters) {
    const at::Tensor grad = parameter.grad();
    ASSERT_EQ(grad.sizes(), parameter.sizes());
    if (parameter.is_non_overlapping_and_dense()) {
      EXPECT_EQ(grad.strides(), parameter.strides());
    }
    EXPECT_EQ(grad.data_ptr(), static_cast<char*>(bucket.flat().data_ptr()) +
                                   offset * static_cast<int64_t>(grad.element_size()));
    const double first = static_cast<double>(offset);
    const double count = static_cast<double>(parameter.numel());
    EXPECT_EQ(grad.sum().item<double>(), count * first + count * (count - 1) / 2);
    offset += parameter.numel();
  }
}

// Autograd adds into the views: the bucket holds what the parameters would have.
TEST_P(BucketTest, ABackwardPassFillsIt) {
  const auto parameters = odd_parameters(GetParam());
  const auto run = [&] {
    at::Tensor loss = torch::zeros({}, GetParam());
    for (const at::Tensor& parameter : parameters) {
      loss = loss + (parameter * parameter * 3).sum();
    }
    loss.backward();
  };
  run();
  std::vector<at::Tensor> expected;
  for (const at::Tensor& parameter : parameters)
    expected.push_back(parameter.grad().clone());
  Bucket bucket(parameters);
  for (int pass = 0; pass < 2; ++pass) {
    bucket.zero_grad();
    EXPECT_EQ(bucket.flat().abs().sum().item<double>(), 0);
    run();
    for (size_t i = 0; i < parameters.size(); ++i) {
      bucket.recapture(i);
      EXPECT_TRUE(parameters[i].grad().equal(expected[i])) << i;
      EXPECT_TRUE(parameters[i].grad().is_alias_of(bucket.flat())) << i;
    }
  }
}

TEST_P(BucketTest, RecaptureBringsBackAReplacedGradient) {
  const auto parameters = odd_parameters(GetParam());
  Bucket bucket(parameters);
  bucket.zero_grad();
  for (size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor replaced;
    {
      const at::NoGradGuard no_grad;
      replaced = torch::rand(parameters[i].sizes(), GetParam());
    }
    parameters[i].mutable_grad() = replaced;
    bucket.recapture(i);
    EXPECT_FALSE(parameters[i].grad().is_same(replaced));
    EXPECT_TRUE(parameters[i].grad().is_alias_of(bucket.flat()));
    EXPECT_TRUE(parameters[i].grad().equal(replaced));
  }
  // A gradient that was dropped: the view comes back.
  bucket.zero_grad();
  parameters[0].mutable_grad().reset();
  bucket.recapture(0);
  EXPECT_TRUE(parameters[0].grad().is_alias_of(bucket.flat()));
}

INSTANTIATE_TEST_SUITE_P(Types, BucketTest, testing::Values(at::kFloat, at::kDouble));

TEST(BucketMemoryTest, CountsAsBucketsOnTheThreadsCard) {
  device::install_ledger();
  const device::AccountScope scope({3, device::Category::other});
  const auto parameters = floats({10, 20});
  const Bucket bucket(parameters);
  const auto live = device::card_bytes(3).live_by_category;
  EXPECT_EQ(live[static_cast<size_t>(device::Category::buckets)], 120);
}

}  // namespace
}  // namespace lockstep::ddp
