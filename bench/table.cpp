#include "bench/table.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>

#include "bench/results.h"

namespace lockstep::bench {
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

// As wide as the modes are: peers' names are longer.
std::string line(const std::vector<Row>& all, const std::vector<Row>& rows,
                 int mode_width) {
  const Row& first = rows.front();
  char head[96];
  std::snprintf(head, sizeof(head), "%-14s %-*s %5d %7d %6ld", first.model.c_str(),
                mode_width, first.mode.c_str(), first.cards, first.threads_per_card,
                static_cast<long>(first.local_batch));
  if (first.status != "ok")
    return std::string(head) + "  " + first.status + ": " + first.message;
  std::string flags;
  for (const std::string& flag : first.flags)
    flags += (flags.empty() ? "" : ",") + flag;
  return head + cell(rows, 11, 0, &rows::samples_per_second) +
         cell(rows, 10, 2,
              [](const Row& row) { return rows::percentile_ms(row, 50); }) +
         cell(rows, 9, 2, [](const Row& row) { return rows::percentile_ms(row, 95); }) +
         cell(rows, 9, 2,
              [](const Row& row) { return rows::mean_phase_ms(row, "exposed_comm"); }) +
         cell(rows, 7, 2,
              [&](const Row& row) { return scaling_efficiency(all, row.name); }) +
         cell(rows, 11, 2, &rows::memory_imbalance) + "  " + peaks(rows) + "  " + flags;
}

}  // namespace

std::string table(const std::vector<Row>& rows) {
  size_t mode_width = 7;
  for (const Row& row : rows) mode_width = std::max(mode_width, row.mode.size());
  std::string text = "model          mode";
  text += std::string(mode_width - 4, ' ') +
          " cards threads  batch  samples/s    p50 ms   p95 ms  exposed effic.  "
          "imbalance  peak MiB of each card (* primary)\n";
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
  // In the order a reader compares: model, then mode, then cards.
  std::stable_sort(cases.begin(), cases.end(), [&](const auto& a, const auto& b) {
    const Row& x = a.front();
    const Row& y = b.front();
    return std::make_tuple(x.model, rows::place_of_mode(x.mode), x.cards) <
           std::make_tuple(y.model, rows::place_of_mode(y.mode), y.cards);
  });
  for (const std::vector<Row>& one : cases)
    text += line(rows, one, static_cast<int>(mode_width)) + "\n";
  return text;
}

}  // namespace lockstep::bench
