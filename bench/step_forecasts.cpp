#include "bench/step_forecasts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "program/formatted.h"

namespace lockstep::bench {

using program::formatted;
using rows::Row;

void StepForecasts::check(const std::vector<Case>& cases, const Sweep& sweep) {
  if (sweep.device != "cpu") {
    throw std::invalid_argument("--predict on --device " + sweep.device +
                                ": it foretells emulated cards alone; leave it out, or "
                                "try bench predict");
  }
  if (std::none_of(cases.begin(), cases.end(), forecast::is_foretold)) {
    throw std::invalid_argument(
        "--predict: none of these cases can be foretold, which are DDP and "
        "DataParallel without its remedies on several cards; try --gpus 2");
  }
}

void StepForecasts::prepare(const std::vector<Case>& cases) {
  if (failed_) return;
  try {
    forecast_.profile(cases);
  } catch (const Stopped&) {
    throw;
  } catch (const std::exception& error) {
    failed_ = true;
    std::fprintf(stderr, "bench: WARNING: no step is foretold: %s\n", error.what());
  }
}

void StepForecasts::add_to(std::vector<Row>& rows,
                           const std::vector<Case>& cases) const {
  if (failed_) return;
  for (const Case& one : cases) {
    const auto predicted = forecast_.step_ms(one);
    for (Row& row : rows) {
      if (row.name == one.name() && row.status == "ok") {
        row.predicted_step_ms = predicted;
      }
    }
  }
}

std::string step_forecast_table(const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) {
    if (row.status != "ok" || !row.predicted_step_ms) continue;
    if (std::find(names.begin(), names.end(), row.name) == names.end()) {
      names.push_back(row.name);
    }
  }
  if (names.empty()) return "";
  size_t longest = 39;
  for (const std::string& name : names) longest = std::max(longest, name.size());
  const auto width = static_cast<int>(longest);
  std::string text = formatted("\n%-*s %9s %9s  %-22s %7s\n", width, "step, ms",
                               "measured", "foretold", "[low, high]", "error");
  double sum = 0, worst = 0;
  size_t held = 0;
  for (const std::string& name : names) {
    std::vector<double> steps;
    rows::PredictedRow predicted;
    for (const Row& row : rows) {
      if (row.name != name || row.status != "ok") continue;
      steps.push_back(rows::percentile_ms(row, 50).value_or(0));
      predicted = *row.predicted_step_ms;
    }
    const double measured = rows::median(steps);
    const double error = predicted.value / measured - 1;
    const bool holds = predicted.low <= measured && measured <= predicted.high;
    sum += std::abs(error);
    worst = std::max(worst, std::abs(error));
    held += holds ? 1 : 0;
    text += formatted("%-*s %9.2f %9.2f  %-22s %+7.1f %%%s\n", width, name.c_str(),
                      measured, predicted.value,
                      formatted("[%.2f, %.2f]", predicted.low, predicted.high).c_str(),
                      100 * error, holds ? "" : "  outside");
  }
  return text + formatted("mean error %.1f %%, worst %.1f %%; %zu of %zu within\n",
                          100 * sum / static_cast<double>(names.size()), 100 * worst,
                          held, names.size());
}

}  // namespace lockstep::bench
