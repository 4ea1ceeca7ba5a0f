#include "summary/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>

#include "rows/bootstrap.h"

namespace lockstep::summary {
namespace {

using rows::Row;

constexpr double kSignificant = 0.05;
constexpr int kOrders = 10000;  // that are tried where all are too many

using rows::Samples;  // one a repetition

// By case, each repetition.
std::map<std::string, Samples> ratios_by_case(const std::vector<Row>& rows) {
  std::map<std::string, Samples> ratios;
  for (const Row& row : rows) {
    if (const auto ratio = rows::step_over_single(row, rows)) {
      ratios[row.name].push_back(*ratio);
    }
  }
  return ratios;
}

// Where each stands among all from the smallest; equal ones share their places.
Samples places_of(const Samples& all) {
  Samples places;
  for (const double one : all) {
    double below = 0, equal = 0;
    for (const double other : all) {
      below += other < one ? 1 : 0;
      equal += other == one ? 1 : 0;
    }
    places.push_back(below + equal / 2);
  }
  return places;
}

// In how many ways so many old and new repetitions can be shuffled.
double orders_of(size_t before, size_t now) {
  const auto a = static_cast<double>(before), b = static_cast<double>(now);
  return std::round(
      std::exp(std::lgamma(a + b + 1) - std::lgamma(a + 1) - std::lgamma(b + 1)));
}

// By places, not by values: one repetition that met a busy machine counts as the
// slowest, however slow it was.
double p_of(const Samples& before, const Samples& now) {
  Samples all = before;
  all.insert(all.end(), now.begin(), now.end());
  const Samples places = places_of(all);
  std::vector<char> is_new(all.size(), 0);
  std::fill(is_new.begin() + static_cast<std::ptrdiff_t>(before.size()), is_new.end(),
            1);
  const auto of_new = [&] {
    double sum = 0;
    for (size_t i = 0; i < places.size(); ++i) sum += is_new[i] ? places[i] : 0;
    return sum;
  };
  const double seen = of_new();
  const double orders = orders_of(before.size(), now.size());
  int64_t as_much = 0, tried = 0;
  if (orders <= kOrders) {
    // From the sorted arrangement through all of them; the one seen is among them.
    do {
      as_much += of_new() >= seen ? 1 : 0;
      ++tried;
    } while (std::next_permutation(is_new.begin(), is_new.end()));
  } else {
    std::mt19937_64 random(0);
    as_much = tried = 1;  // the one seen
    for (int i = 0; i < kOrders; ++i, ++tried) {
      std::shuffle(is_new.begin(), is_new.end(), random);
      as_much += of_new() >= seen ? 1 : 0;
    }
  }
  return static_cast<double>(as_much) / static_cast<double>(tried);
}

double change_of(const Samples& before, const Samples& now) {
  return rows::median(now) / rows::median(before) - 1;
}

double delta_of(const Samples& before, const Samples& now) {
  double sum = 0;
  for (const double a : before) {
    for (const double b : now) sum += b > a ? 1 : b < a ? -1 : 0;
  }
  return sum / static_cast<double>(before.size() * now.size());
}

}  // namespace

std::vector<Comparison> compare(const std::vector<Row>& old_rows,
                                const std::vector<Row>& new_rows, double tolerance) {
  const auto before = ratios_by_case(old_rows);
  auto now = ratios_by_case(new_rows);
  std::vector<Comparison> comparisons;
  for (const Row& row : new_rows) {
    const auto old = before.find(row.name);
    const auto found = now.find(row.name);
    if (old == before.end() || found == now.end()) continue;
    Comparison comparison;
    comparison.name = row.name;
    comparison.old_ratio = rows::median(old->second);
    comparison.new_ratio = rows::median(found->second);
    const rows::Interval change =
        rows::bootstrap({old->second, found->second},
                        [](const auto& sets) { return change_of(sets[0], sets[1]); });
    comparison.change = change.value;
    comparison.low = change.low;
    comparison.high = change.high;
    comparison.p = p_of(old->second, found->second);
    comparison.delta = delta_of(old->second, found->second);
    comparison.regression =
        comparison.change > tolerance && comparison.p <= kSignificant;
    comparisons.push_back(comparison);
    now.erase(found);  // told once
  }
  if (comparisons.empty()) {
    throw std::invalid_argument(
        "no case stands in both, with a single card of its model beside it");
  }
  return comparisons;
}

void check_comparable(const std::vector<Row>& old_rows, const std::vector<Row>& planned,
                      int repetitions) {
  for (const Row& now : planned) {
    for (const Row& old : old_rows) {
      if (old.name != now.name || rows::same_job(old, now)) continue;
      throw std::invalid_argument("--compare: " + now.name +
                                  " was measured with another batch, or another kind "
                                  "of scaling; give the same --batch-size and "
                                  "--scaling");
    }
  }
  const auto ratios = ratios_by_case(old_rows);
  size_t of_old = 0;
  for (const Row& now : planned) {
    const auto found = ratios.find(now.name);
    if (found != ratios.end()) of_old = std::max(of_old, found->second.size());
  }
  if (of_old == 0) {
    throw std::invalid_argument(
        "--compare: the older run has none of these cases with a single card of its "
        "model beside it; give the same --mode, --model and --gpus");
  }
  const double orders = orders_of(of_old, static_cast<size_t>(repetitions));
  if (1 / orders > kSignificant) {
    throw std::invalid_argument(
        "--compare: " + std::to_string(of_old) + " repetitions then and " +
        std::to_string(repetitions) +
        " now differ by chance too often to tell anything; give 3 and 3 at least");
  }
}

std::string comparison_table(const std::vector<Comparison>& comparisons) {
  const std::string head = "step over single card's";
  size_t width = head.size();
  for (const Comparison& one : comparisons) width = std::max(width, one.name.size());
  const auto padded = [width](const std::string& text) {
    return text + std::string(width - text.size(), ' ');
  };
  std::string text = "\n" + padded(head) +
                     "     old     new    change  [95 %]                p  delta\n";
  for (const Comparison& one : comparisons) {
    char interval[64], line[160];
    std::snprintf(interval, sizeof(interval), "[%+.1f, %+.1f]", 100 * one.low,
                  100 * one.high);
    std::snprintf(line, sizeof(line), " %7.3f %7.3f %+7.1f %%  %-16s %6.4f %+6.2f%s\n",
                  one.old_ratio, one.new_ratio, 100 * one.change, interval, one.p,
                  one.delta, one.regression ? "  REGRESSION" : "");
    text += padded(one.name) + line;
  }
  return text;
}

std::vector<Row> rows_at(const std::string& path) {
  const bool folder = std::filesystem::is_directory(path);
  return rows::read_rows(folder ? path + "/runs.jsonl" : path);
}

}  // namespace lockstep::summary
