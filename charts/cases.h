// The rows of a file, gathered into cases: one case is one mode, model, number of cards
// and set of options, with all its repetitions. What charts and table say about a case
// is worked out here, once, so that the two cannot disagree.
//
// Not here: how anything looks, and figures of a single row (row.h).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rows/row.h"

namespace lockstep::charts {

using rows::CardRow;
using rows::MachineRow;
using rows::Row;
using rows::TimelineRow;

// A median over repetitions and the range it came from.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};

struct Case {
  int id =
      0;  // its place in the order of gather_cases(): records name their case by it
  std::string mode;
  std::string model;
  int cards = 1;
  // The mode, and after it those options that tell cases of one mode apart:
  // "ddp", or "ddp reducer=flat" where another case differs in just that.
  std::string series;
  // The options part of `series` alone: empty, or "reducer=flat".
  std::string variant;

  std::vector<const Row*> ok;      // every repetition that has a number
  std::vector<const Row*> failed;  // errors and waived ones
  // The repetition in the middle by its median step: where a figure cannot be a median
  // (a stack of categories, a curve) this whole row stands for the case. Null when
  // nothing is ok.
  const Row* typical = nullptr;

  std::optional<Spread> samples_per_second;
  std::optional<Spread> step_ms;  // medians of steps
  std::optional<double> step_p50_ms;
  std::optional<double> step_p95_ms;
  std::optional<double> speed_up;            // over the baseline
  std::optional<double> scaling_efficiency;  // speed_up / cards
  // Of its collectives' own time the part that a computation hid, 0 to 1. Empty where
  // there are none, and for DataParallel, whose copies nothing can hide.
  std::optional<double> overlap;
  // Index of the one-card case that speed_up is taken from: the single mode's with the
  // same hardware, batch and options, else the same series'. Empty when neither was
  // measured.
  std::optional<size_t> baseline;
};

// In reading order: models as they come in the file, then single, dp, ddp, others, then
// cards. The result points into `rows`.
std::vector<Case> gather_cases(const std::vector<Row>& rows);

// The value of an option by its long name; empty where a case does not have it.
std::string option_of(const Case& each, const std::string& name);

// Of the cases of a model, where they are too many for one picture, the fastest of each
// mode, backend and number of cards.
std::vector<Case> shown_cases(const std::vector<Case>& cases);

// Of each model and series, of each mode where these are many, the case of the most
// cards among those that have what is to be shown.
std::vector<const Case*> largest_cases(const std::vector<Case>& cases,
                                       const std::function<bool(const Case&)>& has);

// The models, modes or series of these cases, in their order, each once.
std::vector<std::string> models_of(const std::vector<Case>& cases);
std::vector<std::string> modes_of(const std::vector<Case>& cases);
std::vector<std::string> series_of(const std::vector<Case>& cases);

bool has_flag(const Row& row, const std::string& flag);

}  // namespace lockstep::charts
