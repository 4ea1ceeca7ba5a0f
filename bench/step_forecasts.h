// `bench --predict`: what each case's step was foretold to take, in its rows beside
// what it took.
#pragma once

#include <string>
#include <vector>

#include "forecast/case_forecast.h"
#include "rows/row.h"

namespace lockstep::bench {

class StepForecasts {
 public:
  StepForecasts(const Sweep& sweep, const Children& children)
      : forecast_(sweep, children) {}

  // Throws std::invalid_argument, in one line, where nothing of these can be foretold.
  static void check(const std::vector<Case>& cases, const Sweep& sweep);

  // Before each round. Where nothing can be foretold, a warning says why, and the
  // measurements go on without. Throws Stopped.
  void prepare(const std::vector<Case>& cases);

  void add_to(std::vector<rows::Row>& rows, const std::vector<Case>& cases) const;

 private:
  forecast::CaseForecast forecast_;
  bool failed_ = false;
};

// Foretold and measured, a line a case, with the mean and the worst error; empty where
// no row has any.
std::string step_forecast_table(const std::vector<rows::Row>& rows);

}  // namespace lockstep::bench
