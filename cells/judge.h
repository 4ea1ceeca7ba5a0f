// What a formula is worth: its value in each case beside the measured one, and the
// points that the farthest of them leaves.
#pragma once

#include <string>
#include <vector>

#include "cells/quantity.h"

namespace lockstep::cells {

inline constexpr int kFullPoints = 2;

struct Told {
  double predicted = 0;
  double error = 0;  // relative to what was measured
};

struct Judgement {
  std::vector<Told> told;  // a case each
  double worst = 0;        // error, without its sign
  int points = 0;
};

// Plain arithmetic with + - * / ^, parentheses and the functions of muParser (min, max,
// sqrt, log2, ...), and ceil and floor. Throws std::invalid_argument, in one line,
// where it cannot be read, names what is not given, or comes to no number.
Judgement judge(const std::string& formula, const Quantity& quantity,
                const std::vector<MeasuredCase>& cases);

}  // namespace lockstep::cells
