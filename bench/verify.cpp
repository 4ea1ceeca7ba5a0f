#include "bench/verify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>

namespace lockstep::bench {
namespace {

bool near(double loss, double reference, double tolerance) {
  // An infinite loss is within any part of itself, so that is looked at first.
  return std::isfinite(loss) && std::isfinite(reference) &&
         std::abs(loss - reference) <= tolerance * std::abs(reference);
}

struct Losses {
  std::vector<double> of_case;
  std::vector<double> of_reference;
};

Losses run_both(const Case& one, const Children& children, RunPlan plan) {
  plan.reference = true;
  std::vector<double> of_reference = children.run(one, plan).losses;
  plan.reference = false;
  return {children.run(one, plan).losses, std::move(of_reference)};
}

}  // namespace

std::optional<std::string> disagreement(const std::vector<double>& losses,
                                        const std::vector<double>& reference) {
  if (losses.size() != reference.size()) {
    return "took " + std::to_string(losses.size()) + " steps where one card takes " +
           std::to_string(reference.size());
  }
  for (size_t step = 0; step < losses.size(); ++step) {
    if (near(losses[step], reference[step], kVerifyTolerance)) continue;
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

bool may_be_rounding(const std::vector<double>& losses,
                     const std::vector<double>& reference) {
  if (losses.empty() || losses.size() != reference.size()) return false;
  return near(losses[0], reference[0], kVerifyTolerance) &&
         std::equal(losses.begin(), losses.end(), reference.begin(),
                    [](double loss, double expected) {
                      return near(loss, expected, kRoundingTolerance);
                    });
}

std::optional<std::string> verify(const Case& one, const Children& children) {
  try {
    const Losses found = run_both(one, children, {.steps = kVerifySteps});
    auto reason = disagreement(found.of_case, found.of_reference);
    if (reason && one.dp.primary_share != 1) {
      // Note [Batch norm sees its part]
      const Losses alike =
          run_both(one, children, {.steps = kVerifySteps, .equal_shares = true});
      reason = disagreement(alike.of_case, alike.of_reference);
    }
    // Note [Where rounding alone parts two runs]
    if (!reason || !one.in_python() ||
        !may_be_rounding(found.of_case, found.of_reference)) {
      return reason;
    }
    const Losses exact =
        run_both(one, children, {.steps = kVerifyStepsInFp64, .precision = "fp64"});
    return disagreement(exact.of_case, exact.of_reference);
  } catch (const Stopped&) {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace lockstep::bench
