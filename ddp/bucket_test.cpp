#include "ddp/bucket.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <map>
#include <random>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "device/ledger_allocator.h"
#include "device/memory_ledger.h"
#include "shm/thread_groups.h"
#include "training/options.h"

namespace lockstep::ddp {
namespace {

using Assignment = BucketAssignment;

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

// As the tests of PyTorch's compute_bucket_assignment_by_size have them.
TEST(AssignBucketsTest, KnownValues) {
  EXPECT_EQ(
      assign_buckets_in_order(floats({100, 200, 100, 50}), {0, 1, 2, 3}, 400, 400),
      (Assignment{{0}, {1}, {2}, {3}}));
  std::vector<at::Tensor> two_types;
  for (int i = 0; i < 3; ++i) {
    two_types.push_back(torch::empty({50}, at::kFloat));
    two_types.push_back(torch::empty({25}, at::kDouble));
  }
  EXPECT_EQ(assign_buckets_in_order(two_types, {0, 1, 2, 3, 4, 5}, 400, 400),
            (Assignment{{0, 2}, {1, 3}, {4}, {5}}));
  EXPECT_EQ(assign_buckets_in_order(floats({10, 10, 10, 10}), {0, 1, 2, 3}, 40, 80),
            (Assignment{{0}, {1, 2}, {3}}));
}

TEST(AssignBucketsTest, InTheOrderGivenAndAsTheyAreComplete) {
  EXPECT_EQ(assign_buckets_in_order(floats({10, 10, 10, 10}), {2, 0, 3, 1}, 40, 80),
            (Assignment{{2}, {0, 3}, {1}}));
  std::vector<at::Tensor> parameters = floats({10, 10, 10});
  parameters[1] = parameters[1].to(at::kDouble);
  EXPECT_EQ(assign_buckets_in_order(parameters, {0, 1, 2}, 1000, 1000),
            (Assignment{{1}, {0, 2}}));
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

// Tests need no other ranks: a group of one.
shm::GroupPtr alone() {
  return comm::make_gloo(c10::make_intrusive<c10d::HashStore>(), 0, 1, "127.0.0.1",
                         shm::kTestTimeout);
}

TEST_P(BucketTest, GradientsLieInItSideBySide) {
  const auto parameters = odd_parameters(GetParam());
  FlatBucket bucket(parameters, *alone());
  for (size_t i = 0; i < parameters.size(); ++i) bucket.lend(i);
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

// The first pass makes gradients that are copied in; the second adds to them there.
TEST_P(BucketTest, TwoBackwardPassesFillIt) {
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
  for (const at::Tensor& parameter : parameters) {
    expected.push_back(parameter.grad().clone());
    parameter.mutable_grad().reset();
  }
  FlatBucket bucket(parameters, *alone());
  for (int pass = 1; pass <= 2; ++pass) {
    run();
    for (size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_TRUE(bucket.take(i, /*alone=*/true));
      bucket.lend(i);
      EXPECT_TRUE(parameters[i].grad().equal(expected[i] * pass)) << i;
      EXPECT_TRUE(parameters[i].grad().is_alias_of(bucket.flat())) << i;
    }
  }
}

TEST_P(BucketTest, AMissingGradientIsZerosAndStaysMissing) {
  const auto parameters = odd_parameters(GetParam());
  FlatBucket bucket(parameters, *alone());
  bucket.flat().fill_(7);
  for (size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_FALSE(bucket.take(i, /*alone=*/true));
    EXPECT_FALSE(parameters[i].grad().defined());
  }
  EXPECT_EQ(bucket.flat().count_nonzero().item<int64_t>(), 0);
}

TEST_P(BucketTest, GivesBackCopies) {
  const auto parameters = odd_parameters(GetParam());
  FlatBucket bucket(parameters, *alone());
  bucket.flat().fill_(3);
  for (int again = 0; again < 2; ++again) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      const void* before = again == 0 ? nullptr : parameters[i].grad().data_ptr();
      bucket.give_back(i);
      const at::Tensor grad = parameters[i].grad();
      EXPECT_FALSE(grad.is_alias_of(bucket.flat()));
      EXPECT_TRUE(grad.equal(torch::full_like(parameters[i], 3))) << i;
      if (again > 0) EXPECT_EQ(grad.data_ptr(), before);
      grad.fill_(0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, BucketTest, testing::Values(at::kFloat, at::kDouble));

TEST(BucketMemoryTest, CountsAsBucketsOnTheThreadsCard) {
  device::install_ledger();
  const device::AccountScope scope({3, device::Category::other});
  const auto parameters = floats({10, 20});
  const FlatBucket bucket(parameters, *alone());
  const auto live = device::card_bytes(3).live_by_category;
  EXPECT_EQ(live[static_cast<size_t>(device::Category::buckets)], 120);
}

}  // namespace
}  // namespace lockstep::ddp
