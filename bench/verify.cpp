#include "bench/verify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>

#include "training/options.h"

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

// Of two cards a sum is the same either way round. A ring begins each piece at another.
bool adds_in_a_ring(const Case& one) {
  const bool gloo = one.ddp.backend == "gloo" || !one.ddp.link.empty();
  return one.has_ranks() && gloo && one.cards > 2;
}

bool rounds_otherwise(const Case& one, const Sweep& sweep) {
  return sweep.device != "cpu" || one.in_python() || one.dp.reduce == "tree" ||
         adds_in_a_ring(one);
}

}  // namespace

const std::vector<double>& References::losses(const Case& one, RunPlan plan) {
  plan.reference = true;
  const std::vector<std::string> command_line = children_.command_line(one, plan);
  auto found = made_.find(command_line);
  if (found == made_.end()) {
    found = made_.emplace(command_line, children_.run(one, plan).losses).first;
  }
  return found->second;
}

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

bool is_baseline(const Case& one, const Sweep& sweep) {
  return one.mode == "single" && !sweep.cuda_graph;
}

bool may_be_the_shares(const Case& one) {
  return one.dp.primary_share != 1 && one.cards > 1 &&
         training::has_batch_norm(one.model);
}

std::optional<std::string> verify(const Case& one, const Children& children,
                                  References& references) {
  const auto run_both = [&](const RunPlan& plan) -> Losses {
    const std::vector<double>& of_reference = references.losses(one, plan);
    return {children.run(one, plan).losses, of_reference};
  };
  try {
    // What comes out does not depend on how slowly it goes from host to host.
    RunPlan plan = {.steps = kVerifySteps, .swift_links = true, .lossless = true};
    Losses found = run_both(plan);
    auto reason = disagreement(found.of_case, found.of_reference);
    if (reason && may_be_the_shares(one)) {
      plan.equal_shares = true;
      found = run_both(plan);
      reason = disagreement(found.of_case, found.of_reference);
    }
    // Note [Where rounding alone parts two runs]
    if (!reason || !rounds_otherwise(one, children.sweep()) ||
        !may_be_rounding(found.of_case, found.of_reference)) {
      return reason;
    }
    plan.steps = kVerifyStepsInFp64;
    plan.precision = "fp64";
    found = run_both(plan);
    return disagreement(found.of_case, found.of_reference);
  } catch (const Stopped&) {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace lockstep::bench
