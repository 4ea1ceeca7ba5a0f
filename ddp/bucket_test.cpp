// The assignment of parameters to buckets is c10d's, which is the oracle here.
#include "ddp/bucket.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "training/options.h"

namespace lockstep::ddp {
namespace {

constexpr int64_t kMiB = 1024 * 1024;

// c10d's, once its buckets are rebuilt in the order of backward.
std::vector<std::vector<size_t>> of_c10d(const std::vector<at::Tensor>& parameters,
                                         int64_t first_cap_bytes, int64_t cap_bytes) {
  std::vector<at::Tensor> backward(parameters.rbegin(), parameters.rend());
  std::vector<int64_t> indices(parameters.size());
  std::iota(indices.rbegin(), indices.rend(), 0);
  return std::get<0>(c10d::compute_bucket_assignment_by_size(
      backward, {static_cast<size_t>(first_cap_bytes), static_cast<size_t>(cap_bytes)}, {},
      indices));
}

at::Tensor of_bytes(int64_t bytes) { return at::empty({bytes / 4}); }

TEST(AssignBuckets, IsThatOfC10d) {
  std::minstd_rand random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<at::Tensor> parameters(1 + random() % 30);
    for (at::Tensor& parameter : parameters) {
      parameter = at::empty({static_cast<int64_t>(random() % 500)});
    }
    const auto first_cap = static_cast<int64_t>(random() % 1000);
    const auto cap = first_cap + static_cast<int64_t>(random() % 5000);
    EXPECT_EQ(assign_buckets(parameters, first_cap, cap), of_c10d(parameters, first_cap, cap));
  }
}

TEST(AssignBuckets, PutsEachParameterInOneBucketOfItsType) {
  std::minstd_rand random(2);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<at::Tensor> parameters(1 + random() % 30);
    for (at::Tensor& parameter : parameters) {
      parameter = at::empty({static_cast<int64_t>(random() % 500)},
                            random() % 2 == 0 ? at::kFloat : at::kDouble);
    }
    std::vector<int> seen(parameters.size());
    size_t before = parameters.size();
    for (const auto& members : assign_buckets(parameters, 300, 2000)) {
      EXPECT_LT(members.front(), before) << "launched in the order of backward";
      before = members.front();
      for (const size_t index : members) {
        ++seen[index];
        EXPECT_EQ(parameters[index].scalar_type(), parameters[members.front()].scalar_type());
      }
    }
    EXPECT_EQ(seen, std::vector<int>(parameters.size(), 1));
  }
}

// A bucket is closed by the parameter that fills it, so it may be larger than its cap by
// that one.
TEST(AssignBuckets, ClosesTheFirstAtOneMiBAndTheOthersAtTwentyFive) {
  const training::DdpOptions defaults;
  EXPECT_EQ(defaults.first_bucket_cap_mb, 1);
  EXPECT_EQ(defaults.bucket_cap_mb, 25);
  const std::vector<at::Tensor> parameters = {of_bytes(3 * kMiB),  of_bytes(24 * kMiB),
                                              of_bytes(1 * kMiB),  of_bytes(20 * kMiB),
                                              of_bytes(kMiB / 2),  of_bytes(kMiB / 2)};
  const std::vector<std::vector<size_t>> wanted = {{5, 4}, {3, 2, 1}, {0}};
  EXPECT_EQ(assign_buckets(parameters, kMiB, 25 * kMiB), wanted);
}

TEST(AssignBuckets, OfCapZeroIsOneBucketAParameter) {
  const std::vector<at::Tensor> parameters = {of_bytes(4), of_bytes(400), of_bytes(40)};
  const std::vector<std::vector<size_t>> wanted = {{2}, {1}, {0}};
  EXPECT_EQ(assign_buckets(parameters, kMiB, 0), wanted);
}

}  // namespace
}  // namespace lockstep::ddp
