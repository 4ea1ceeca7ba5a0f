// The real training on a student's part, so small that a grader can wait for it, and
// the losses of one card beside it: in fp64 they agree to 1e-10, where the part is
// right.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "grading/check.h"
#include "training/catalog.h"
#include "training/options.h"
#include "training/report.h"

namespace lockstep::labs {

// Two passes over so many images of noise, of the data set "small-run" that it adds.
inline TrainOptions small_run(uint64_t seed, int64_t samples) {
  training::datasets().add("small-run", [samples](const data::Source&) {
    const at::Generator random = at::detail::createCPUGenerator(/*seed=*/4);
    const data::Samples all(at::randint(256, {samples, 1, 28, 28}, random, at::kByte),
                            at::randint(10, {samples}, random, at::kLong));
    return data::Dataset{all, all};
  });
  TrainOptions options;
  options.model = "mlp";
  options.dataset = "small-run";
  options.epochs = 2;
  options.lr = 0.1;
  options.seed = seed;
  options.device = "cpu";
  options.threads_per_card = 1;
  options.precision = "fp64";
  return options;
}

// Throws grading::Refused at the first loss that is not one card's.
inline void expect_losses(const TrainReport& found, const TrainReport& one_card,
                          const grading::Misconception& otherwise) {
  const auto number = [](double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.12g", value);
    return std::string(text);
  };
  for (size_t i = 0; i < one_card.losses.size() && i < found.losses.size(); ++i) {
    const double wanted = one_card.losses[i];
    if (std::abs(found.losses[i] - wanted) <= 1e-10 * std::abs(wanted)) continue;
    throw grading::Refused(otherwise, "the loss of step " + std::to_string(i) + " is " +
                                          number(found.losses[i]) +
                                          ", not one card's " + number(wanted));
  }
  if (found.losses.size() == one_card.losses.size()) return;
  throw grading::Refused(otherwise, std::to_string(found.losses.size()) +
                                        " steps were taken, not one card's " +
                                        std::to_string(one_card.losses.size()));
}

}  // namespace lockstep::labs
