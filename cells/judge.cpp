#include "cells/judge.h"

#include <muParser.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lockstep::cells {
namespace {

// Cases of one quantity are given the same names.
std::string names_of(const MeasuredCase& one) {
  std::string names;
  for (const auto& [name, value] : one.given) {
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

double value_of(const std::string& formula, const MeasuredCase& one) {
  try {
    mu::Parser parser;
    parser.DefineFun(
        "ceil", +[](double x) { return std::ceil(x); });
    parser.DefineFun(
        "floor", +[](double x) { return std::floor(x); });
    for (const auto& [name, value] : one.given) parser.DefineConst(name, value);
    parser.SetExpr(formula);
    const double value = parser.Eval();
    // A comma makes a list, of which the last would count.
    if (parser.GetNumResults() != 1) {
      throw std::invalid_argument("formula: it is a list; write 1000, not 1,000");
    }
    if (!std::isfinite(value)) {
      throw std::invalid_argument("formula: it comes to no number in the case " +
                                  one.name + "; is something divided by 0?");
    }
    return value;
  } catch (const mu::ParserError& error) {
    throw std::invalid_argument("formula: " + error.GetMsg() + "; it may use " +
                                names_of(one) + ", ceil and floor");
  }
}

}  // namespace

Judgement judge(const std::string& formula, const Quantity& quantity,
                const std::vector<MeasuredCase>& cases) {
  Judgement judgement;
  for (const MeasuredCase& one : cases) {
    const double value = value_of(formula, one);
    const double error = one.measured != 0 ? value / one.measured - 1 : value;
    judgement.told.push_back({value, error});
    judgement.worst = std::max(judgement.worst, std::abs(error));
  }
  // A sum of doubles in another order may differ in its last digit.
  constexpr double kRounding = 1e-9;
  if (judgement.worst <= quantity.full + kRounding) {
    judgement.points = kFullPoints;
  } else if (quantity.half > 0 && judgement.worst <= quantity.half) {
    judgement.points = kFullPoints / 2;
  }
  return judgement;
}

}  // namespace lockstep::cells
