// Whether a case has become slower since an older run. Machines and their moods differ
// from run to run, so seconds are not compared: each case's time over that of the
// single card which ran beside it in the same repetition is, and that ratio's change is
// told with what chance makes of it.
#pragma once

#include <string>
#include <vector>

#include "rows/row.h"

namespace lockstep::summary {

struct Comparison {
  std::string name;                     // the case
  double old_ratio = 0, new_ratio = 0;  // of step times over the single card's: medians
  double change = 0;                    // new over old, less 1; above 0: slower
  double low = 0, high = 0;             // 95 % of bootstrap samples of it
  // How often repetitions shuffled between old and new differ as much in this
  // direction, by their places: Mann and Whitney's test, one-sided, exact where few
  // orders are possible.
  double p = 1;
  // Cliff's delta: how much more often a new repetition is slower than an old one than
  // the other way round. 1: always.
  double delta = 0;
  bool regression = false;
};

// A regression is a change beyond `tolerance` (0.05: 5 %) with p at most 0.05. Cases
// that both have, in the new one's order, but for single cards, which are their own
// measure. Throws std::invalid_argument where there is none.
std::vector<Comparison> compare(const std::vector<rows::Row>& old_rows,
                                const std::vector<rows::Row>& new_rows,
                                double tolerance);

// Before anything is measured: what makes a verdict impossible, in one line. `planned`:
// a row for each case, as far as it is known. Throws std::invalid_argument where no
// case can be compared, where one of the same name had another batch then, or where so
// many repetitions could never differ significantly.
void check_comparable(const std::vector<rows::Row>& old_rows,
                      const std::vector<rows::Row>& planned, int repetitions);

std::string comparison_table(const std::vector<Comparison>& comparisons);

// The rows of a results folder, or of the file itself.
std::vector<rows::Row> rows_at(const std::string& path);

}  // namespace lockstep::summary
