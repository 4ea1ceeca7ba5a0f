// Two runs beside each other, case by case: what a step was over its own run's single
// card, so that a machine that was slower on one day does not look like a change.
// Medians and ranges; whether a difference could be chance is `bench --compare`'s to
// say.
//
// Not here: how one run's cases are gathered and shown (charts/).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "charts/cases.h"

namespace lockstep::reports {

// One case in one run.
struct Measured {
  int repetitions = 0;
  std::optional<charts::Spread> samples_per_second;
  // Of rows::step_over_single(), a repetition each. Empty where the run
  // has no such single card.
  std::optional<charts::Spread> over_single;
};

enum class Verdict { none, overlap, faster, slower };

struct Compared {
  std::string name;  // the rows': "ddp/mlp/cards:2"
  std::string model;
  std::string mode;
  std::string backend;
  int cards = 1;
  Measured then;
  Measured now;

  // Of the step over the single card's: 0.1 is a tenth longer. Empty where one is.
  std::optional<double> change() const;
  Verdict verdict() const;
};

// Every case of either run that has a figure, in the order of the later run, then what
// only the earlier one has.
std::vector<Compared> compare(const std::vector<rows::Row>& then,
                              const std::vector<rows::Row>& now);

// The records of charts/specs/compare_*.vl.json.
nlohmann::json change_data(const std::vector<Compared>& cases);
nlohmann::json rates_data(const std::vector<Compared>& cases);

// "faster", "slower", "ranges overlap", "" for none.
std::string words_of(Verdict verdict);

}  // namespace lockstep::reports
