// LibTorch's Python loop gives our losses: one process gives one card's, and two ranks
// of DistributedDataParallel do. (Cards among each other: equality_test.cpp; other data
// sets' networks: twins_test.cpp.)
#include <gtest/gtest.h>

#include <ostream>

#include "tests/equality/run.h"
#include "tests/equality/within.h"

namespace lockstep::equality {
namespace {

struct Work {
  std::string name, model, precision;
  size_t steps;
  double bar;
  std::string options() const { return workload(model, precision, steps); }
};

void PrintTo(const Work& work, std::ostream* out) { *out << work.options(); }

// In fp32 a convolutional net is compared over the first steps alone
// (equality_test.cpp).
const std::vector<Work> kWork = {
    {"MlpInFp64", "mlp", "fp64", kSteps, 1e-9},
    {"ConvnetPlainInFp64", "convnet-plain", "fp64", kSteps, 1e-9},
    {"MlpInFp32", "mlp", "fp32", kSteps, 1e-4},
    {"ConvnetPlainInFp32", "convnet-plain", "fp32", kFirstSteps, 1e-4}};

// Nine steps an epoch, the last of them smaller: the order of each epoch is its own.
constexpr size_t kTwoEpochs = 11;
const std::string kOfTwoEpochs = workload("mlp", "fp64", kTwoEpochs);

// Of one process that takes the global batch, or of two ranks that take half of it
// each.
std::string share_of(int ranks) {
  return ranks == 1 ? "--batch-size 32 --threads 2" : "--batch-size 16";
}

const std::vector<double>& python_losses_of(int ranks, const std::string& line) {
  static std::map<int, std::map<std::string, std::vector<double>>> made;
  if (made.count(ranks) == 0) {
    Words lines;
    for (const Work& each : kWork) lines.push_back(share_of(ranks) + each.options());
    if (ranks == 2) lines.push_back("--batch-size 3500" + kOfTwoEpochs);
    made[ranks] = python_losses_of_all(ranks, lines);
  }
  return made[ranks].at(line);
}

class PythonLosses : public testing::TestWithParam<Work> {};

TEST_P(PythonLosses, EqualOurs) {
  const Work& work = GetParam();
  const std::vector<double>& ours = program_losses(kOne + work.options());
  for (const int ranks : {1, 2}) {
    const auto& python = python_losses_of(ranks, share_of(ranks) + work.options());
    expect_within(work.bar, apart(python, ours, work.steps),
                  "Python, ranks: " + std::to_string(ranks) + work.options());
  }
}

INSTANTIATE_TEST_SUITE_P(Each, PythonLosses, testing::ValuesIn(kWork),
                         [](const auto& info) { return info.param.name; });

// One process by the peer's own command line; two are (bench/peers_test.cpp).
TEST(Python, GoesThroughEpochsAsWeDo) {
  const std::vector<double>& python_one =
      python_losses(1, "--batch-size 7000 --threads 2" + kOfTwoEpochs);
  const std::vector<double>& python_two =
      python_losses_of(2, "--batch-size 3500" + kOfTwoEpochs);
  const auto& one = program_losses("single_gpu --batch-size 7000" + kOfTwoEpochs);
  const auto& two = program_losses("ddp --gpus 2 --batch-size 3500" + kOfTwoEpochs);
  expect_within(1e-9, apart(one, python_one, kTwoEpochs),
                "Python, one process, two epochs");
  expect_within(1e-9, apart(two, python_two, kTwoEpochs),
                "Python, two ranks, two epochs");
}

}  // namespace
}  // namespace lockstep::equality
