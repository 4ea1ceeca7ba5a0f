#include "bench/verify.h"

#include <cmath>
#include <cstdio>
#include <exception>

namespace lockstep::bench {

std::optional<std::string> disagreement(const std::vector<double>& losses,
                                        const std::vector<double>& reference) {
  if (losses.size() != reference.size()) {
    return "took " + std::to_string(losses.size()) + " steps where one card takes " +
           std::to_string(reference.size());
  }
  for (size_t step = 0; step < losses.size(); ++step) {
    const double error = std::abs(losses[step] - reference[step]);
    // An infinite loss is within any part of itself, so that is looked at first.
    const bool finite = std::isfinite(losses[step]) && std::isfinite(reference[step]);
    if (finite && error <= kVerifyTolerance * std::abs(reference[step])) continue;
    char text[160];
    std::snprintf(
        text, sizeof(text),
        "loss %.9g at step %zu where one card on the same samples has %.9g: not "
        "timed",
        losses[step], step, reference[step]);
    return text;
  }
  return std::nullopt;
}

std::optional<std::string> verify(const Case& one, const Children& children) {
  try {
    const TrainReport reference =
        children.run(one, {.steps = kVerifySteps, .reference = true});
    const TrainReport run =
        children.run(one, {.steps = kVerifySteps, .reference = false});
    return disagreement(run.losses, reference.losses);
  } catch (const Stopped&) {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace lockstep::bench
