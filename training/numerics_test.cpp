#include "training/numerics.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace lockstep::training {
namespace {

TEST(Numerics, Fp32IsFp32UnlessTf32IsAskedFor) {
  at::Context& context = at::globalContext();
  TrainOptions options;
  set_numerics(options);
  EXPECT_FALSE(context.allowTF32CuDNN());
  EXPECT_FALSE(context.allowTF32CuBLAS());
  options.precision = "tf32";
  set_numerics(options);
  EXPECT_TRUE(context.allowTF32CuDNN());
  EXPECT_TRUE(context.allowTF32CuBLAS());
  set_numerics({});
  EXPECT_FALSE(context.allowTF32CuDNN());
}

TEST(Numerics, DeterministicAndBenchmarkAreAsAsked) {
  at::Context& context = at::globalContext();
  TrainOptions options;
  options.deterministic = true;
  unsetenv("CUBLAS_WORKSPACE_CONFIG");
  set_numerics(options);
  EXPECT_TRUE(context.deterministicAlgorithms());
  EXPECT_TRUE(context.deterministicCuDNN());
  EXPECT_FALSE(context.benchmarkCuDNN());
  EXPECT_STREQ(getenv("CUBLAS_WORKSPACE_CONFIG"), ":4096:8");
  options.deterministic = false;
  options.cudnn_benchmark = true;
  set_numerics(options);
  EXPECT_FALSE(context.deterministicAlgorithms());
  EXPECT_TRUE(context.benchmarkCuDNN());
  options.deterministic = true;
  EXPECT_THROW(set_numerics(options), std::invalid_argument);
  set_numerics({});
}

}  // namespace
}  // namespace lockstep::training
