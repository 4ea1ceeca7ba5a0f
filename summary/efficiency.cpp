#include "summary/efficiency.h"

#include <algorithm>

namespace lockstep::summary {
namespace {

using rows::Row;

std::optional<double> median_throughput(const std::vector<Row>& rows,
                                        const std::string& name) {
  std::vector<double> values;
  for (const Row& row : rows) {
    if (row.name != name || row.status != "ok") continue;
    if (const auto value = rows::samples_per_second(row)) values.push_back(*value);
  }
  if (values.empty()) return std::nullopt;
  return rows::median(values);
}

// Over the case of one card that `is_baseline` names.
template <typename IsBaseline>
std::optional<double> efficiency(const std::vector<Row>& rows, const std::string& name,
                                 IsBaseline is_baseline) {
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const Row& one) { return one.name == name; });
  if (row == rows.end()) return std::nullopt;
  const auto baseline = std::find_if(rows.begin(), rows.end(), [&](const Row& one) {
    return rows::same_job(one, *row) && is_baseline(*row, one);
  });
  if (baseline == rows.end()) return std::nullopt;
  const auto mine = median_throughput(rows, name);
  const auto single = median_throughput(rows, baseline->name);
  if (!mine || !single || *single <= 0) return std::nullopt;
  return *mine / (row->cards * *single);
}

bool same_way(const Row& one, const Row& other) {
  for (const char* key : {"reducer", "backend", "bucket-cap-mb"}) {
    const auto a = one.options.find(key), b = other.options.find(key);
    const bool has_a = a != one.options.end(), has_b = b != other.options.end();
    if (has_a != has_b || (has_a && a->second != b->second)) return false;
  }
  return true;
}

}  // namespace

std::optional<double> scaling_efficiency(const std::vector<Row>& rows,
                                         const std::string& name) {
  return efficiency(rows, name, [](const Row& /*mine*/, const Row& one) {
    return one.mode == "single";
  });
}

std::optional<double> efficiency_over_one_rank(const std::vector<Row>& rows,
                                               const std::string& name) {
  return efficiency(rows, name, [](const Row& mine, const Row& one) {
    const bool ddp = mine.mode == "ddp" || mine.mode == "ddp-sharded";
    return ddp && one.mode == "ddp" && one.cards == 1 && same_way(mine, one);
  });
}

}  // namespace lockstep::summary
