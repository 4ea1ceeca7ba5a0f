// What the experiments tell: scaling over two baselines, and steps by bucket cap.
#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "rows/bootstrap.h"
#include "summary/efficiency.h"
#include "summary/table.h"

namespace lockstep::summary {
namespace {

using rows::Row;

struct Measured {
  const Row* row = nullptr;  // any of its repetitions
  rows::Samples step_ms;     // a median a repetition
};

// Those with a number, as they come.
std::vector<Measured> measured_cases(const std::vector<Row>& rows) {
  std::vector<Measured> cases;
  for (const Row& row : rows) {
    const auto step = rows::percentile_ms(row, 50);
    if (row.status != "ok" || !step) continue;
    auto found = std::find_if(cases.begin(), cases.end(), [&](const Measured& one) {
      return one.row->name == row.name;
    });
    if (found == cases.end()) found = cases.insert(cases.end(), {&row, {}});
    found->step_ms.push_back(*step);
  }
  return cases;
}

size_t width_of(const std::vector<Measured>& cases) {
  size_t width = 20;
  for (const Measured& one : cases) width = std::max(width, one.row->name.size());
  return width;
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, text.size()), ' ');
}

// Times as fast, and that a card.
std::string over(const std::optional<double>& efficiency, int cards) {
  char text[64];
  if (!efficiency) {
    std::snprintf(text, sizeof(text), " %13s %8s", "-", "-");
  } else {
    std::snprintf(text, sizeof(text), " %13.2f %8.2f", *efficiency * cards,
                  *efficiency);
  }
  return text;
}

// Cases that differ in their cap alone.
bool same_but_for_cap(const Row& one, const Row& other) {
  auto a = one.options, b = other.options;
  a.erase("bucket-cap-mb");
  b.erase("bucket-cap-mb");
  return a == b && one.mode == other.mode && one.cards == other.cards &&
         rows::same_job(one, other);
}

}  // namespace

std::string scaling_table(const std::vector<Row>& rows) {
  const std::vector<Measured> cases = measured_cases(rows);
  const size_t width = width_of(cases);
  std::string text = "\n" + padded("scaling", width) +
                     "  batch   step ms  over single: x   effic.    over ddp:1: x"
                     "   effic.\n";
  for (const auto& [row, step_ms] : cases) {
    char line[80];
    std::snprintf(line, sizeof(line), " %6ld %9.3f ",
                  static_cast<long>(row->global_batch), rows::median(step_ms));
    text += padded(row->name, width) + line +
            over(scaling_efficiency(rows, row->name), row->cards) + "    " +
            over(efficiency_over_one_rank(rows, row->name), row->cards) + "\n";
  }
  return text;
}

std::string bucket_table(const std::vector<Row>& rows) {
  std::vector<Measured> cases = measured_cases(rows);
  cases.erase(std::remove_if(cases.begin(), cases.end(),
                             [](const Measured& one) {
                               return one.row->options.count("bucket-cap-mb") == 0;
                             }),
              cases.end());
  const size_t width = width_of(cases);
  std::string text =
      "\n" + padded("bucket sweep", width) + "  cap MiB   step ms  [95 %]\n";
  for (const Measured& one : cases) {
    const double median = rows::median(one.step_ms);
    const bool best =
        std::none_of(cases.begin(), cases.end(), [&](const Measured& other) {
          return same_but_for_cap(*one.row, *other.row) &&
                 rows::median(other.step_ms) < median;
        });
    char line[120];
    std::snprintf(line, sizeof(line), "  %7s %9.3f",
                  one.row->options.at("bucket-cap-mb").c_str(), median);
    text += padded(one.row->name, width) + line;
    if (one.step_ms.size() >= rows::kLeastForInterval) {
      const rows::Interval found = rows::median_interval(one.step_ms);
      std::snprintf(line, sizeof(line), "  [%.3f, %.3f]", found.low, found.high);
      text += line;
    }
    text += best ? "  best\n" : "\n";
  }
  return text;
}

}  // namespace lockstep::summary
