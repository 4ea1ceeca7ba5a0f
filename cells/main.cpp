// `cell FILE...`: holds the formulas of docs/cells/ against what is measured.
// Exit status: 0 graded, whatever the points; 1 where a file or a formula cannot be
// read, or nothing can be measured; 2 for a command line without files.
#include <cstdio>
#include <exception>
#include <iostream>

#include "cells/cell_file.h"
#include "cells/judge.h"

namespace lockstep::cells {
namespace {

// Whole numbers as they are: bytes, counts.
std::string number(double value) {
  char text[48];
  std::snprintf(text, sizeof(text),
                value == static_cast<int64_t>(value) ? "%.0f" : "%.2f", value);
  return text;
}

void tell(const Quantity& quantity, const std::vector<MeasuredCase>& cases,
          const Judgement& judgement) {
  std::printf("  %-34s %14s %14s %10s\n", "", "predicted", "measured", "error");
  for (size_t i = 0; i < cases.size(); ++i) {
    std::printf("  %-34s %14s %14s %+9.2f %%\n", cases[i].name.c_str(),
                number(judgement.told[i].predicted).c_str(),
                number(cases[i].measured).c_str(), 100 * judgement.told[i].error);
  }
  std::printf("  farthest off %.2f %% (2 points within %g %%", 100 * judgement.worst,
              100 * quantity.full);
  if (quantity.half > 0) std::printf(", 1 within %g %%", 100 * quantity.half);
  std::printf(")");
  if (judgement.points < kFullPoints)
    std::printf("; read docs/%s", quantity.read.c_str());
  std::printf("\n");
}

// Its points.
int grade(const std::string& path) {
  const CellFile file = read_cell(path);
  const Quantity quantity = quantity_named(file.id);
  if (file.formula.empty()) {
    std::printf("%s: 0 of %d, no formula yet: write one in %s\n", file.id.c_str(),
                kFullPoints, path.c_str());
    return 0;
  }
  const std::vector<MeasuredCase> cases = quantity.measure();
  const Judgement judgement = judge(file.formula, quantity, cases);
  std::printf("%s: %d of %d, %s = %s\n", file.id.c_str(), judgement.points, kFullPoints,
              quantity.asks.c_str(), file.formula.c_str());
  tell(quantity, cases, judgement);
  return judgement.points;
}

int grade_all(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "cell: give files, as docs/cells/4_rank.cell\n";
    return 2;
  }
  int points = 0, status = 0;
  for (int i = 1; i < argc; ++i) {
    try {
      points += grade(argv[i]);
    } catch (const std::exception& error) {
      std::cout.flush();
      std::cerr << "cell: " << argv[i] << ": " << error.what() << "\n";
      status = 1;
    }
  }
  if (argc > 2) std::printf("%d of %d points\n", points, kFullPoints * (argc - 1));
  return status;
}

}  // namespace
}  // namespace lockstep::cells

int main(int argc, char** argv) { return lockstep::cells::grade_all(argc, argv); }
