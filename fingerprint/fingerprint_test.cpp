#include "fingerprint/fingerprint.h"

#include <gtest/gtest.h>
#include <torch/csrc/distributed/c10d/debug.h>
#include <torch/types.h>

#include <cstdlib>

#include "fingerprint/checked.h"

namespace lockstep::fingerprint {
namespace {

Fingerprint all_reduce(const std::vector<at::Tensor>& tensors) {
  return Fingerprint{"all_reduce", "sum", "", {}}.of(tensors);
}
Fingerprint broadcast(const at::Tensor& tensor, int root) {
  return Fingerprint{"broadcast", "", std::to_string(root), {}}.of(tensor);
}

std::string of_ranks(const std::vector<std::optional<Fingerprint>>& all) {
  return disagreement(all).value_or("none");
}

TEST(Fingerprint, ArrivesAsItWasShown) {
  for (const Fingerprint& one :
       {Fingerprint{"barrier", "", "", {}}, broadcast(torch::ones({3, 4}).t(), 2),
        all_reduce({torch::ones({}), torch::ones({0}, at::kDouble)})}) {
    EXPECT_EQ(fingerprint_from(to_text(one)), one) << describe(one);
  }
}

TEST(Fingerprint, IsDescribedInAFewWords) {
  EXPECT_EQ(describe(broadcast(torch::ones({10}), 0)),
            "broadcast of [10] Float from root 0");
  EXPECT_EQ(describe(all_reduce({torch::ones({2, 3}).t()})),
            "all_reduce of [3, 2] strides [1, 3] Float, sum");
  EXPECT_EQ(describe(all_reduce(std::vector<at::Tensor>(62, torch::ones({1})))),
            "all_reduce of 62 tensors, sum");
}

TEST(Fingerprint, WhoDiffersIsTheFewer) {
  const Fingerprint usual = all_reduce({torch::ones({5120})});
  EXPECT_EQ(of_ranks({usual, usual, usual}), "none");
  EXPECT_EQ(
      of_ranks({usual, usual, broadcast(torch::ones({10}), 0), usual}),
      "rank 2 calls broadcast of [10] Float from root 0, the others all_reduce of "
      "[5120] Float, sum; they differ in the collective");
  const Fingerprint other = all_reduce({torch::ones({5120}, at::kDouble)});
  EXPECT_EQ(
      of_ranks({other, usual, usual, other, usual}),
      "ranks 0, 3 call all_reduce of [5120] Double, sum, the others all_reduce of "
      "[5120] Float, sum; they differ in the type");
}

TEST(Fingerprint, AllAreNamedWhereNoneAreMost) {
  const at::Tensor tensor = torch::ones({10});
  EXPECT_EQ(
      of_ranks({broadcast(tensor, 1), broadcast(tensor, 0)}),
      "rank 0 calls broadcast of [10] Float from root 1, rank 1 calls broadcast of "
      "[10] Float from root 0; they differ in the root");
}

TEST(Fingerprint, TheAbsentDifferInNothing) {
  const Fingerprint usual = all_reduce({torch::ones({5120})});
  EXPECT_EQ(of_ranks({usual, std::nullopt, usual}), "none");
}

TEST(Fingerprint, OfManyTensorsTheFirstThatDiffersIsShown) {
  std::vector<at::Tensor> tensors(62, torch::ones({4}));
  const Fingerprint usual = all_reduce(tensors);
  tensors[17] = torch::ones({5});
  EXPECT_EQ(of_ranks({usual, usual, all_reduce(tensors)}),
            "rank 2 calls all_reduce of 62 tensors, sum, the others all_reduce of 62 "
            "tensors, sum; they differ in the sizes of tensor 17: [5] and [4]");
  tensors.pop_back();
  EXPECT_NE(of_ranks({usual, all_reduce(tensors)}).find("in the number of tensors"),
            std::string::npos);
}

// The oracle is PyTorch's own reading of its variable.
TEST(DebugLevel, TakesPyTorchsVariableWhereTheOptionIsOff) {
  constexpr const char* kVariable = "TORCH_DISTRIBUTED_DEBUG";
  const auto both = [](const char* option) {
    std::string ours, theirs;
    try {
      ours = wants_detail(option) ? "detail" : "less";
    } catch (const std::invalid_argument& error) {
      ours = "refused";
      EXPECT_NE(std::string(error.what()).find(std::getenv(kVariable)),
                std::string::npos);
    }
    try {
      c10d::setDebugLevelFromEnvironment();
      theirs = c10d::debug_level() == c10d::DebugLevel::Detail ? "detail" : "less";
    } catch (const std::exception&) {
      theirs = "refused";
    }
    return std::pair(ours, theirs);
  };
  for (const char* word : {"OFF", "INFO", "DETAIL", "detail", "Detail", "dETAIL ", "",
                           "info", "1", "DETAILS", "off"}) {
    ASSERT_EQ(setenv(kVariable, word, 1), 0);
    const auto [ours, theirs] = both("off");
    EXPECT_EQ(ours, theirs) << '"' << word << '"';
    EXPECT_TRUE(wants_detail("detail")) << "the option comes first";
  }
  unsetenv(kVariable);
  EXPECT_FALSE(wants_detail("off"));
  c10d::setDebugLevelFromEnvironment();
}

}  // namespace
}  // namespace lockstep::fingerprint
