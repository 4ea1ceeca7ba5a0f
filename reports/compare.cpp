#include "reports/compare.h"

#include <algorithm>
#include <map>

#include "charts/words.h"

namespace lockstep::reports {
namespace {

using charts::rounded;
using charts::Spread;
using nlohmann::json;
using rows::Row;

std::optional<Spread> spread_of(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return Spread{rows::median(values), *low, *high};
}

struct Samples {
  std::vector<double> rates, ratios;
};

std::map<std::string, Samples> samples_of(const std::vector<Row>& rows) {
  std::map<std::string, Samples> samples;
  for (const Row& row : rows) {
    const auto rate = samples_per_second(row);
    if (row.status != "ok" || !rate) continue;
    Samples& each = samples[row.name];
    each.rates.push_back(*rate);
    if (const auto ratio = rows::step_over_single(row, rows)) {
      each.ratios.push_back(*ratio);
    }
  }
  return samples;
}

Measured measured(const std::map<std::string, Samples>& samples,
                  const std::string& name) {
  const auto found = samples.find(name);
  if (found == samples.end()) return {};
  return {static_cast<int>(found->second.rates.size()), spread_of(found->second.rates),
          spread_of(found->second.ratios)};
}

// "ddp/mlp/cards:2" as "ddp · 2 cards": the model stands above the panel.
std::string case_of(const Compared& each) {
  std::string name = each.name;
  const std::string begin =
      each.mode + "/" + each.model + "/cards:" + std::to_string(each.cards);
  const std::string rest =
      name.rfind(begin, 0) == 0 ? name.substr(begin.size()) : " " + name;
  return each.mode + charts::spaced(rest) + " · " +
         charts::count_of(each.cards, "card");
}

std::string ratio_text(const Spread& ratio) {
  return charts::fixed(ratio.median, 3) + " [" + charts::fixed(ratio.low, 3) + "–" +
         charts::fixed(ratio.high, 3) + "]";
}

}  // namespace

std::optional<double> Compared::change() const {
  if (!then.over_single || !now.over_single) return std::nullopt;
  return now.over_single->median / then.over_single->median - 1;
}

Verdict Compared::verdict() const {
  if (!change()) return Verdict::none;
  if (now.over_single->high < then.over_single->low) return Verdict::faster;
  if (now.over_single->low > then.over_single->high) return Verdict::slower;
  return Verdict::overlap;
}

std::string words_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::overlap:
      return "ranges overlap";
    case Verdict::faster:
      return "faster";
    case Verdict::slower:
      return "slower";
    case Verdict::none:
      break;
  }
  return "";
}

std::vector<Compared> compare(const std::vector<Row>& then,
                              const std::vector<Row>& now) {
  const auto before = samples_of(then), after = samples_of(now);
  std::vector<Compared> cases;
  std::map<std::string, size_t> seen;
  for (const std::vector<Row>* rows : {&now, &then}) {
    for (const Row& row : *rows) {
      const bool known = before.count(row.name) + after.count(row.name) > 0;
      if (!known || !seen.emplace(row.name, cases.size()).second) continue;
      const auto backend = row.options.find("backend");
      cases.push_back({row.name, row.model, row.mode,
                       backend == row.options.end() ? "" : backend->second, row.cards,
                       measured(before, row.name), measured(after, row.name)});
    }
  }
  return cases;
}

json change_data(const std::vector<Compared>& cases) {
  json data = json::array();
  for (size_t i = 0; i < cases.size(); ++i) {
    const Compared& each = cases[i];
    if (!each.change()) continue;
    data.push_back({{"id", i},
                    {"model", each.model},
                    {"case", case_of(each)},
                    {"order", i},
                    {"then", rounded(each.then.over_single->median, 5)},
                    {"now", rounded(each.now.over_single->median, 5)},
                    {"then_text", ratio_text(*each.then.over_single)},
                    {"now_text", ratio_text(*each.now.over_single)},
                    {"change", rounded(*each.change(), 4)},
                    {"kind", words_of(each.verdict())}});
  }
  return data;
}

json rates_data(const std::vector<Compared>& cases) {
  json data = json::array();
  for (size_t i = 0; i < cases.size(); ++i) {
    const Compared& each = cases[i];
    for (const auto& [run, side] :
         {std::pair("then", &each.then), {"now", &each.now}}) {
      if (!side->samples_per_second) continue;
      data.push_back({{"id", i},
                      {"model", each.model},
                      {"case", case_of(each)},
                      {"order", i},
                      {"run", run},
                      {"value", rounded(side->samples_per_second->median, 6)},
                      {"low", rounded(side->samples_per_second->low, 6)},
                      {"high", rounded(side->samples_per_second->high, 6)},
                      {"repetitions", side->repetitions}});
    }
  }
  return data;
}

}  // namespace lockstep::reports
