#include "shm/reduce_kernels.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>
#include <string>
#include <tuple>
#include <vector>

namespace lockstep::shm {
namespace {

constexpr at::ScalarType kTypes[] = {at::kFloat,    at::kDouble, at::kHalf,
                                     at::kBFloat16, at::kByte,   at::kChar,
                                     at::kShort,    at::kInt,    at::kLong};
constexpr Reduction kReductions[] = {Reduction::sum, Reduction::mean,
                                     Reduction::product, Reduction::min,
                                     Reduction::max};
constexpr int kMostSources = 9;
// Odd, shorter and longer than a vector and than the kernels' tile.
constexpr int64_t kCounts[] = {0, 1, 3, 7, 17, 1023, 1025, 4099};

bool is_16_bit_float(at::ScalarType type) {
  return type == at::kHalf || type == at::kBFloat16;
}

// Where each number stands in the result shows if two are mixed up. Small enough for
// sums and products of nine to fit their type, but for the 8-bit ones, which wrap.
at::Tensor draw(Reduction reduction, at::ScalarType type, int64_t count) {
  if (c10::isIntegralType(type, /*includeBool=*/false)) {
    const int64_t low = type == at::kByte                 ? 0
                        : reduction == Reduction::product ? -2
                                                          : -14;
    return torch::randint(low, reduction == Reduction::product ? 4 : 15, {count})
        .to(type);
  }
  const at::Tensor numbers = torch::randn({count}, at::kDouble);
  return (reduction == Reduction::product ? numbers.abs() + 0.3 : numbers).to(type);
}

at::Tensor combined(Reduction reduction, const at::Tensor& a, const at::Tensor& b) {
  switch (reduction) {
    case Reduction::product:
      return a * b;
    case Reduction::min:
      return at::minimum(a, b);
    case Reduction::max:
      return at::maximum(a, b);
    default:
      return a + b;
  }
}

// ATen's, one source after the other, in `type`.
at::Tensor by_aten(Reduction reduction, const std::vector<at::Tensor>& sources,
                   at::ScalarType type) {
  at::Tensor result = sources.front().to(type);
  for (size_t s = 1; s < sources.size(); ++s) {
    result = combined(reduction, result, sources[s].to(type));
  }
  if (reduction == Reduction::mean)
    result = result / static_cast<double>(sources.size());
  return result;
}

void apply(Reduction reduction, const std::vector<at::Tensor>& sources,
           const std::vector<at::Tensor>& destinations) {
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const at::Tensor& source : sources) from.push_back(source.const_data_ptr());
  for (const at::Tensor& place : destinations) to.push_back(place.mutable_data_ptr());
  reduce_kernel(reduction, sources.front().scalar_type())(from, to,
                                                          sources.front().numel());
}

void expect_right(Reduction reduction, const std::vector<at::Tensor>& sources,
                  const at::Tensor& result) {
  const at::ScalarType type = result.scalar_type();
  if (is_16_bit_float(type)) {
    // Added up in fp32 and rounded once. A mean divides there, ours multiplies: on a
    // rounding edge they may take different neighbours.
    const at::Tensor expected = by_aten(reduction, sources, at::kFloat).to(type);
    if (reduction == Reduction::mean) {
      const double step = type == at::kHalf ? 0x1p-10 : 0x1p-7;
      EXPECT_TRUE(at::allclose(result.to(at::kDouble), expected.to(at::kDouble), step,
                               /*atol=*/1e-6));
      EXPECT_GT(result.eq(expected).sum().item<int64_t>(), result.numel() * 9 / 10 - 1);
    } else {
      EXPECT_TRUE(result.equal(expected));
    }
  } else if (c10::isFloatingType(type)) {
    // fp64's own oracle is fp64 in the same order: equal but for the mean's division.
    const at::Tensor expected = by_aten(reduction, sources, at::kDouble);
    const at::Tensor sizes = by_aten(
        reduction,
        [&] {
          std::vector<at::Tensor> absolute;
          for (const at::Tensor& source : sources) absolute.push_back(source.abs());
          return absolute;
        }(),
        at::kDouble);
    const double epsilon = type == at::kFloat ? 0x1p-23 : 0x1p-52;
    const at::Tensor bound =
        sizes.abs().mul(epsilon * static_cast<double>(sources.size()));
    EXPECT_TRUE(
        result.to(at::kDouble).sub(expected).abs().le(bound).all().item<bool>());
  } else {
    // Of fixed width and wrapping, as fp64's is not: the low bits of the whole number.
    EXPECT_TRUE(
        result.equal(by_aten(reduction, sources, at::kDouble).to(at::kLong).to(type)));
  }
}

std::string name(Reduction reduction) {
  constexpr const char* kNames[] = {"sum", "mean", "product", "min", "max"};
  return kNames[static_cast<size_t>(reduction)];
}

class KernelTest
    : public testing::TestWithParam<std::tuple<at::ScalarType, Reduction>> {};

TEST_P(KernelTest, GivesWhatATenGives) {
  const auto [type, reduction] = GetParam();
  if (reduction == Reduction::mean && c10::isIntegralType(type, false)) {
    EXPECT_THROW(reduce_kernel(reduction, type), std::invalid_argument);
    return;
  }
  torch::manual_seed(1);
  for (int count_of = 1; count_of <= kMostSources; ++count_of) {
    for (const int64_t count : kCounts) {
      SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(count_of) +
                   " sources");
      std::vector<at::Tensor> sources;
      std::vector<at::Tensor> before;
      for (int s = 0; s < count_of; ++s) {
        sources.push_back(draw(reduction, type, count));
        before.push_back(sources.back().clone());
      }
      // One destination among strangers' numbers, which stay.
      const at::Tensor around = torch::full({count + 2}, 77, type);
      const at::Tensor result = around.narrow(0, 1, count);
      apply(reduction, sources, {result});
      expect_right(reduction, sources, result);
      EXPECT_EQ(around[0].item<double>(), 77);
      EXPECT_EQ(around[count + 1].item<double>(), 77);
      for (int s = 0; s < count_of; ++s) {
        EXPECT_TRUE(
            sources[static_cast<size_t>(s)].equal(before[static_cast<size_t>(s)]));
      }
      // The sources as destinations: every one gets the same bits.
      apply(reduction, sources, sources);
      for (const at::Tensor& source : sources) EXPECT_TRUE(source.equal(result));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, KernelTest,
                         testing::Combine(testing::ValuesIn(kTypes),
                                          testing::ValuesIn(kReductions)),
                         [](const auto& info) {
                           return std::string(c10::toString(std::get<0>(info.param))) +
                                  "_" + name(std::get<1>(info.param));
                         });

// A sum in fp16 would stop growing at 2048 + 1, and overflow at 65504.
TEST(Kernels, AddUp16BitFloatsInFp32) {
  const std::vector<at::Tensor> sources = {torch::full({5}, 2048.0, at::kHalf),
                                           torch::full({5}, 1.0, at::kHalf),
                                           torch::full({5}, 1.0, at::kHalf)};
  const at::Tensor result = torch::empty({5}, at::kHalf);
  apply(Reduction::sum, sources, {result});
  EXPECT_TRUE(result.equal(torch::full({5}, 2050.0, at::kHalf)));
  const std::vector<at::Tensor> large(3, torch::full({5}, 60000.0, at::kHalf));
  apply(Reduction::mean, large, {result});
  EXPECT_TRUE(result.equal(large.front()));
}

// In the order of sources, whatever that costs in digits: another order gives 0 or 2.
TEST(Kernels, TakeTheSourcesInTheirOrder) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const double large = type == at::kFloat ? 0x1p30 : 0x1p60;
    const std::vector<at::Tensor> sources = {
        torch::full({9}, 1.0, type), torch::full({9}, large, type),
        torch::full({9}, -large, type), torch::full({9}, 1.0, type)};
    const at::Tensor result = torch::empty({9}, type);
    apply(Reduction::sum, sources, {result});
    EXPECT_TRUE(result.equal(torch::full({9}, 1.0, type)));
  }
}

TEST(Kernels, WhatHasNoneIsRefusedInOneLine) {
  for (const at::ScalarType type : {at::kBool, at::kComplexFloat, at::kComplexDouble}) {
    for (const Reduction reduction : kReductions) {
      try {
        reduce_kernel(reduction, type);
        ADD_FAILURE() << name(reduction) << " of " << type;
      } catch (const std::invalid_argument& error) {
        const std::string message = error.what();
        EXPECT_NE(message.find(c10::toString(type)), std::string::npos) << message;
        EXPECT_NE(message.find("--backend gloo"), std::string::npos) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::shm
