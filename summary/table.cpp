#include "summary/table.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>

#include "rows/bootstrap.h"
#include "summary/efficiency.h"

namespace lockstep::summary {
namespace {

using rows::Row;

using Figure = std::function<std::optional<double>(const Row&)>;

// The median over the rows that have it, "-" where none has.
std::string cell(const std::vector<Row>& rows, int width, int digits,
                 const Figure& figure) {
  std::vector<double> values;
  for (const Row& row : rows) {
    if (const auto value = figure(row)) values.push_back(*value);
  }
  char text[64];
  if (values.empty()) {
    std::snprintf(text, sizeof(text), "%*s", width, "-");
  } else {
    std::snprintf(text, sizeof(text), "%*.*f", width, digits, rows::median(values));
  }
  return text;
}

std::string peaks(const std::vector<Row>& rows) {
  std::string text;
  for (size_t card = 0; card < rows.front().memory.size(); ++card) {
    text += cell(
        rows, card == 0 ? 0 : 1, 2, [card](const Row& row) -> std::optional<double> {
          if (card >= row.memory.size()) return std::nullopt;
          return static_cast<double>(row.memory[card].peak_bytes) / (1024.0 * 1024.0);
        });
    text += card == 0 ? "*" : "";
    if (card + 1 < rows.front().memory.size()) text += " ";
  }
  return text;
}

// A mode, and which knobs its run swept.
std::string way_of(const Row& row) { return row.mode + rows::knobs_of(row); }

// What the table has beside its usual columns.
struct Layout {
  size_t way_width = 7;  // peers' names are longer
  bool intervals = false;
  bool one_rank = false;
  bool peak = false;
};

std::string samples_per_second(const std::vector<Row>& rows, const Layout& layout) {
  std::string text = cell(rows, 11, 0, &rows::samples_per_second);
  if (!layout.intervals) return text;
  rows::Samples samples;
  for (const Row& row : rows) {
    if (const auto value = rows::samples_per_second(row)) samples.push_back(*value);
  }
  char interval[64] = "";
  if (samples.size() >= rows::kLeastForInterval) {
    const rows::Interval found = rows::median_interval(samples);
    std::snprintf(interval, sizeof(interval), "[%.0f, %.0f]", found.low, found.high);
  }
  char padded[64];
  std::snprintf(padded, sizeof(padded), "  %-18s", interval);
  return text + padded;
}

std::optional<double> percent_of_peak(const Row& row) {
  const auto share = rows::share_of_peak(row);
  return share ? std::optional(100 * *share) : std::nullopt;
}

std::string line(const std::vector<Row>& all, const std::vector<Row>& rows,
                 const Layout& layout) {
  const Row& first = rows.front();
  char head[200];
  std::snprintf(head, sizeof(head), "%-14s %-*s %5d %7d %6ld", first.model.c_str(),
                static_cast<int>(layout.way_width), way_of(first).c_str(), first.cards,
                first.threads_per_card, static_cast<long>(first.local_batch));
  if (first.status != "ok")
    return std::string(head) + "  " + first.status + ": " + first.message;
  std::string flags;
  for (const std::string& flag : first.flags)
    flags += (flags.empty() ? "" : ",") + flag;
  const auto one_rank = [&](const Row& row) {
    return efficiency_over_one_rank(all, row.name);
  };
  return head + samples_per_second(rows, layout) +
         cell(rows, 10, 2,
              [](const Row& row) { return rows::percentile_ms(row, 50); }) +
         cell(rows, 9, 2, [](const Row& row) { return rows::percentile_ms(row, 95); }) +
         cell(rows, 9, 2,
              [](const Row& row) { return rows::mean_phase_ms(row, "exposed_comm"); }) +
         cell(rows, 7, 2,
              [&](const Row& row) { return scaling_efficiency(all, row.name); }) +
         (layout.one_rank ? cell(rows, 7, 2, one_rank) : "") +
         (layout.peak
              ? cell(rows, 9, 2, &rows::tflops) + cell(rows, 8, 1, percent_of_peak)
              : "") +
         cell(rows, 11, 2, &rows::memory_imbalance) + "  " + peaks(rows) + "  " + flags;
}

}  // namespace

std::string table(const std::vector<Row>& rows) {
  Layout layout;
  std::map<std::string, size_t> repetitions;
  std::vector<std::string> knobs;
  for (const Row& row : rows) {
    layout.way_width = std::max(layout.way_width, way_of(row).size());
    layout.intervals |= ++repetitions[row.name] >= rows::kLeastForInterval;
    layout.one_rank |= row.cards > 1 && efficiency_over_one_rank(rows, row.name);
    layout.peak |= rows::share_of_peak(row).has_value();
    knobs.push_back(rows::knobs_of(row));
  }
  std::string text = "model          mode";
  text += std::string(layout.way_width - 4, ' ') + " cards threads  batch  samples/s";
  if (layout.intervals) text += "  [95 %]            ";
  text += "    p50 ms   p95 ms  exposed effic.";
  if (layout.one_rank) text += " ddp:1 ";
  if (layout.peak) text += "  TFLOP/s  peak %";
  text += "  imbalance  peak MiB of each card (* primary)\n";
  std::vector<std::string> seen;
  for (const Row& row : rows) {
    if (std::find(seen.begin(), seen.end(), row.name) != seen.end()) continue;
    seen.push_back(row.name);
  }
  std::vector<std::vector<Row>> cases;
  for (const std::string& name : seen) {
    std::vector<Row> same;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(same),
                 [&](const Row& row) { return row.name == name; });
    std::stable_sort(same.begin(), same.end(), [](const Row& a, const Row& b) {
      return (a.status == "ok") > (b.status == "ok");
    });
    if (same.front().status == "ok") {
      same.erase(std::remove_if(same.begin(), same.end(),
                                [](const Row& row) { return row.status != "ok"; }),
                 same.end());
    }
    cases.push_back(std::move(same));
  }
  // In the order a reader compares: model, then mode, then knobs as they come, then
  // cards.
  const auto place_of_knobs = [&](const Row& row) {
    return std::find(knobs.begin(), knobs.end(), rows::knobs_of(row)) - knobs.begin();
  };
  std::stable_sort(cases.begin(), cases.end(), [&](const auto& a, const auto& b) {
    const Row& x = a.front();
    const Row& y = b.front();
    const auto place = [&](const Row& row) {
      return std::make_tuple(row.model, rows::place_of_mode(row.mode),
                             place_of_knobs(row), row.cards);
    };
    return place(x) < place(y);
  });
  for (const std::vector<Row>& one : cases) text += line(rows, one, layout) + "\n";
  return text;
}

}  // namespace lockstep::summary
