#include "charts/cases.h"

#include <algorithm>
#include <map>
#include <set>

namespace lockstep::charts {
namespace {

using Attributes = std::map<std::string, std::string>;

// What was asked for beyond mode, model and cards, by the words of the command line. Of
// the two batches only the one that the kind of scaling holds fixed: the other follows
// the cards.
Attributes attributes_of(const Row& row) {
  Attributes attributes = row.options;
  for (const char* own : {"mode", "model", "gpus", "cards", "repetitions"}) {
    attributes.erase(own);
  }
  attributes.erase("batch-size");
  attributes.erase("global-batch-size");
  attributes["dataset"] = row.dataset;
  attributes["device"] = row.device;
  attributes["scaling"] = row.scaling;
  attributes["threads-per-card"] = std::to_string(row.threads_per_card);
  if (row.scaling == "strong") {
    attributes["global-batch-size"] = std::to_string(row.global_batch);
  } else {
    attributes["batch-size"] = std::to_string(row.local_batch);
  }
  return attributes;
}

std::string value_of(const Attributes& attributes, const std::string& key) {
  const auto found = attributes.find(key);
  return found == attributes.end() ? "" : found->second;
}

// The keys in which rows of one mode, model and number of cards differ: without them
// two cases would be taken for repetitions of one.
std::set<std::string> telling_keys(const std::vector<const Row*>& rows) {
  std::map<int, std::vector<Attributes>> by_cards;
  for (const Row* row : rows) by_cards[row->cards].push_back(attributes_of(*row));
  std::set<std::string> telling;
  for (const auto& [cards, group] : by_cards) {
    std::set<std::string> keys;
    for (const Attributes& each : group) {
      for (const auto& [key, value] : each) keys.insert(key);
    }
    for (const std::string& key : keys) {
      for (const Attributes& each : group) {
        if (value_of(each, key) != value_of(group[0], key)) telling.insert(key);
      }
    }
  }
  return telling;
}

// "mb=5" before "mb=25": numbers by their size, what lies between them by its letters.
bool naturally_before(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    const size_t first = i, second = j;
    while (i < a.size() && digit(a[i])) ++i;
    while (j < b.size() && digit(b[j])) ++j;
    if (i - first != j - second) return i - first < j - second;
    const int order = a.compare(first, i - first, b, second, j - second);
    if (order != 0) return order < 0;
  }
  return a.size() - i < b.size() - j;
}

std::string variant_of(const Row& row, const std::set<std::string>& telling) {
  const Attributes attributes = attributes_of(row);
  std::string variant;
  for (const std::string& key : telling) {
    const std::string value = value_of(attributes, key);
    if (value.empty()) continue;
    variant += (variant.empty() ? "" : " ") + key + "=" + value;
  }
  return variant;
}

template <typename Figure>
std::vector<double> over_repetitions(const Case& each, Figure figure) {
  std::vector<double> values;
  for (const Row* row : each.ok) {
    if (const std::optional<double> value = figure(*row)) values.push_back(*value);
  }
  return values;
}

std::optional<Spread> spread_of(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return Spread{rows::median(values), *low, *high};
}

// The row is the same that the phases are shown of.
std::optional<double> overlap_of(const Row& row) {
  if (rows::is_data_parallel(row.mode)) return std::nullopt;
  const auto comm = mean_phase_ms(row, "comm");
  const auto exposed = mean_phase_ms(row, "exposed_comm");
  if (!comm || !exposed || !(*comm > 0)) return std::nullopt;
  return std::clamp(1 - *exposed / *comm, 0.0, 1.0);
}

void summarise(Case& each) {
  each.samples_per_second = spread_of(over_repetitions(each, rows::samples_per_second));
  each.step_ms = spread_of(
      over_repetitions(each, [](const Row& r) { return percentile_ms(r, 50); }));
  if (each.step_ms) each.step_p50_ms = each.step_ms->median;
  const auto p95 = spread_of(
      over_repetitions(each, [](const Row& r) { return percentile_ms(r, 95); }));
  if (p95) each.step_p95_ms = p95->median;
  std::vector<const Row*> sorted = each.ok;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Row* a, const Row* b) {
    return percentile_ms(*a, 50).value_or(0) < percentile_ms(*b, 50).value_or(0);
  });
  if (!sorted.empty()) each.typical = sorted[(sorted.size() - 1) / 2];
  if (each.typical != nullptr) each.overlap = overlap_of(*each.typical);
}

// Only like with like: an option that both rows have must have the same value in both.
bool comparable(const Row& one, const Row& other) {
  const Attributes a = attributes_of(one), b = attributes_of(other);
  return std::all_of(a.begin(), a.end(), [&b](const auto& entry) {
    const auto found = b.find(entry.first);
    return found == b.end() || found->second == entry.second;
  });
}

std::optional<size_t> find_baseline(const std::vector<Case>& cases, const Case& each) {
  std::optional<size_t> own;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& other = cases[i];
    if (other.model != each.model || other.cards != 1 || !other.samples_per_second ||
        !comparable(*each.typical, *other.typical)) {
      continue;
    }
    if (other.mode == "single") return i;
    if (other.series == each.series) own = i;
  }
  return own;
}

std::vector<std::string> distinct(const std::vector<Case>& cases,
                                  std::string Case::*member) {
  std::vector<std::string> names;
  for (const Case& each : cases) {
    if (std::find(names.begin(), names.end(), each.*member) == names.end()) {
      names.push_back(each.*member);
    }
  }
  return names;
}

}  // namespace

std::vector<Case> gather_cases(const std::vector<Row>& rows) {
  std::vector<std::string> models;
  std::map<std::pair<std::string, std::string>, std::vector<const Row*>> by_mode;
  for (const Row& row : rows) {
    if (std::find(models.begin(), models.end(), row.model) == models.end()) {
      models.push_back(row.model);
    }
    by_mode[{row.model, row.mode}].push_back(&row);
  }
  std::vector<Case> cases;
  for (const auto& [key, group] : by_mode) {
    const std::set<std::string> telling = telling_keys(group);
    std::map<std::pair<std::string, int>, Case> found;
    for (const Row* row : group) {
      const std::string variant = variant_of(*row, telling);
      Case& each = found[{variant, row->cards}];
      each.mode = row->mode;
      each.model = row->model;
      each.cards = row->cards;
      each.variant = variant;
      each.series = variant.empty() ? row->mode : row->mode + " " + variant;
      (row->status == "ok" ? each.ok : each.failed).push_back(row);
    }
    for (auto& [unused, each] : found) cases.push_back(std::move(each));
  }
  const auto order = [&models](const Case& c) {
    const auto model =
        std::find(models.begin(), models.end(), c.model) - models.begin();
    return std::pair(model, rows::place_of_mode(c.mode));
  };
  std::stable_sort(cases.begin(), cases.end(), [&order](const Case& a, const Case& b) {
    if (order(a) != order(b)) return order(a) < order(b);
    return a.series != b.series ? naturally_before(a.series, b.series)
                                : a.cards < b.cards;
  });
  for (Case& each : cases) {
    each.id = static_cast<int>(&each - cases.data());
    summarise(each);
  }
  for (Case& each : cases) {
    if (!each.samples_per_second) continue;
    each.baseline = find_baseline(cases, each);
    if (!each.baseline) continue;
    each.speed_up = each.samples_per_second->median /
                    cases[*each.baseline].samples_per_second->median;
    each.scaling_efficiency = *each.speed_up / each.cards;
  }
  return cases;
}

std::string option_of(const Case& each, const std::string& name) {
  const Row* row = each.typical;
  if (row == nullptr && !each.failed.empty()) row = each.failed.front();
  return row == nullptr ? "" : value_of(row->options, name);
}

std::vector<std::string> models_of(const std::vector<Case>& cases) {
  return distinct(cases, &Case::model);
}

std::vector<std::string> modes_of(const std::vector<Case>& cases) {
  return distinct(cases, &Case::mode);
}

std::vector<std::string> series_of(const std::vector<Case>& cases) {
  return distinct(cases, &Case::series);
}

bool has_flag(const Row& row, const std::string& flag) {
  return std::find(row.flags.begin(), row.flags.end(), flag) != row.flags.end();
}

}  // namespace lockstep::charts
