// Every image of the test set is counted once, whatever the number of cards; and the
// ways of training, which give the same model, get the same of them right.
#include <gtest/gtest.h>

#include "tests/equality/run.h"

namespace lockstep::equality {
namespace {

constexpr int64_t kTestImages = 10000;

TEST(Evaluate, CountsEveryTestImageOnce) {
  // 84 images a step; in fp64, so that rounding moves no image from right to wrong.
  // Neither 3 nor 7 ranks divide the test set.
  const std::string work = " --model mlp --steps 20 --momentum 0.9 --precision fp64";
  const TestSet one = evaluated_by("single_gpu --batch-size 84" + work);
  EXPECT_EQ(one.evaluated, kTestImages);
  EXPECT_GT(one.correct, kTestImages / 2) << "twenty steps learn something";
  for (const std::string program :
       {"data_parallel --gpus 3 --batch-size 28", "ddp --gpus 2 --batch-size 42",
        "ddp --gpus 3 --batch-size 28", "ddp --gpus 7 --batch-size 12"}) {
    const TestSet many = evaluated_by(program + work);
    EXPECT_EQ(many.evaluated, kTestImages) << program;
    EXPECT_EQ(many.correct, one.correct) << program;
  }
}

}  // namespace
}  // namespace lockstep::equality
