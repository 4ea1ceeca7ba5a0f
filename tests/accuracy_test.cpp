// What the losses cannot say: each way of training does learn to tell the real images
// apart.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/equality/run.h"

namespace lockstep::equality {
namespace {

class Accuracy : public testing::TestWithParam<std::string> {};

TEST_P(Accuracy, OfThreeEpochsOnFashionMnistIs88PercentOrMore) {
  const TestSet test_set = evaluated_by(
      GetParam() +
      " --model convnet --dataset fashion-mnist --epochs 3 --momentum 0.9");
  EXPECT_EQ(test_set.evaluated, 10000);
  const double percent = 100.0 * static_cast<double>(test_set.correct) / 10000;
  std::printf("%.2f %%: %s\n", percent, GetParam().c_str());
  EXPECT_GE(percent, 88);
}

// One of them where time is short: equality_test holds the others to its losses.
std::vector<std::string> programs() {
  std::vector<std::string> programs = {"ddp --gpus 2 --batch-size 64"};
  if (std::getenv("LOCKSTEP_EVERY_PROGRAM") != nullptr) {
    programs.emplace_back("single_gpu --batch-size 128");
    programs.emplace_back("data_parallel --gpus 2 --batch-size 64");
  }
  return programs;
}

INSTANTIATE_TEST_SUITE_P(Programs, Accuracy, testing::ValuesIn(programs()));

}  // namespace
}  // namespace lockstep::equality
