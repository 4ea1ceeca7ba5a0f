// The records of the chart of memory over one step. A panel is a case, its cards side
// by side in it: a card's lane is 1 wide, whatever the step took, and lanes stand
// kPitch apart.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "charts/charts.h"
#include "charts/words.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;

constexpr double kPitch = 1.06;
constexpr double kPixels = 200;  // of a lane
constexpr size_t kMostCards = 4;

// What was live by category, in the order of stack_order(), from this time on.
struct Moment {
  double ms = 0;
  std::vector<double> mib;
  double total() const {
    double sum = 0;
    for (const double each : mib) sum += each;
    return sum;
  }
};

struct Band {
  std::string stage;
  double from_ms = 0;
  double to_ms = 0;
};

size_t place_of(const std::string& category) {
  const std::vector<std::string>& order = stack_order();
  const auto found = std::find(order.begin(), order.end(), spaced(category));
  return static_cast<size_t>(
      std::min(found - order.begin(), static_cast<std::ptrdiff_t>(order.size()) - 1));
}

// Bytes leave a category to arrive in another with the next event: they were there all
// the time.
bool moves_on(const TimelineRow& line, size_t i) {
  return i + 1 < line.ms.size() && line.bytes[i] < 0 &&
         line.bytes[i + 1] == -line.bytes[i] && line.ms[i + 1] == line.ms[i] &&
         line.category[i + 1] != line.category[i];
}

// One after every change.
std::vector<Moment> moments_of(const TimelineRow& line) {
  std::vector<Moment> moments;
  Moment now{0, std::vector<double>(stack_order().size(), 0.0)};
  for (size_t i = 0; i < line.ms.size(); ++i) {
    now.ms = line.ms[i];
    const auto category = static_cast<size_t>(line.category[i]);
    now.mib[place_of(line.categories[category])] +=
        static_cast<double>(line.bytes[i]) / kMiB;
    const bool before = line.stages[static_cast<size_t>(line.stage[i])] == "before";
    if (before && !moments.empty()) moments.pop_back();  // all at once
    if (!moves_on(line, i)) moments.push_back(now);
  }
  return moments;
}

// Of each of the slices that a lane has room for, the highest moment, the lowest and
// the last: no peak is lost, nor where a slice ends.
std::vector<Moment> thinned(const std::vector<Moment>& all, double end_ms) {
  constexpr size_t kSlices = 130;
  if (all.size() <= 3 * kSlices) return all;
  const auto lower = [](const Moment& a, const Moment& b) {
    return a.total() < b.total();
  };
  std::vector<Moment> kept;
  auto first = all.begin();
  for (size_t slice = 1; slice <= kSlices; ++slice) {
    const double until = end_ms * static_cast<double>(slice) / kSlices;
    const auto last = slice == kSlices
                          ? all.end()
                          : std::find_if(first, all.end(), [&](const Moment& each) {
                              return each.ms > until;
                            });
    if (first == last) continue;
    const auto [low, high] = std::minmax_element(first, last, lower);
    std::vector<std::vector<Moment>::const_iterator> chosen = {low, high, last - 1};
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    for (const auto each : chosen) kept.push_back(*each);
    first = last;
  }
  return kept;
}

// A stage lasts from its first event to the next one's, the last to the card's last
// event; "before" and "none" are none.
std::vector<Band> bands_of(const TimelineRow& line) {
  std::vector<Band> bands;
  for (size_t i = 0; i < line.ms.size(); ++i) {
    const std::string& stage = line.stages[static_cast<size_t>(line.stage[i])];
    if (stage == "before" || (!bands.empty() && bands.back().stage == stage)) continue;
    const double from = bands.empty() ? 0 : line.ms[i];
    if (!bands.empty()) bands.back().to_ms = from;
    bands.push_back({stage, from, line.ms.back()});
  }
  std::erase_if(bands, [](const Band& band) {
    return band.stage == "none" || band.to_ms <= band.from_ms;
  });
  return bands;
}

double placed(double value) { return std::round(value * 1e4) / 1e4; }

struct Lane {
  const CardRow& card;
  json shared;  // panel, card
  double left = 0;
  double end_ms = 1;
  double x(double ms) const { return placed(left + ms / end_ms); }
};

// A point where a layer's lower or upper edge moves: between them it stays.
void add_layers(json& data, const Lane& lane, const std::vector<Moment>& moments) {
  const std::vector<std::string>& order = stack_order();
  for (size_t layer = 0; layer < order.size(); ++layer) {
    const auto empty = [&](const Moment& each) { return each.mib[layer] < 1e-6; };
    if (std::all_of(moments.begin(), moments.end(), empty)) continue;
    double low_before = -1, high_before = -1, x_before = -1;
    for (size_t i = 0; i <= moments.size(); ++i) {
      const Moment& moment = moments[std::min(i, moments.size() - 1)];
      double low = 0;
      for (size_t below = 0; below < layer; ++below) low += moment.mib[below];
      const double high = low + moment.mib[layer];
      const bool end = i == moments.size();
      if (!end && low == low_before && high == high_before) continue;
      // Points of one place would come in any order.
      const double x = std::max(lane.x(end ? lane.end_ms : moment.ms), x_before + 1e-4);
      json point = lane.shared;
      point.update({{"kind", "layer"},
                    {"category", order[layer]},
                    {"x", placed(x)},
                    {"ms", rounded(end ? lane.end_ms : moment.ms, 5)},
                    {"mib", rounded(moment.mib[layer], 6)},
                    {"low", placed(low)},
                    {"high", placed(high)}});
      data.push_back(std::move(point));
      low_before = low;
      high_before = high;
      x_before = x;
    }
  }
}

void add_bands(json& data, const Lane& lane, const std::vector<Band>& bands) {
  bool shaded = false;
  for (const Band& band : bands) {
    const double from = lane.x(band.from_ms), to = lane.x(band.to_ms);
    const std::string name = spaced(band.stage);
    const bool fits = (to - from) * kPixels > 5.4 * static_cast<double>(name.size());
    json record = lane.shared;
    record.update({{"kind", "stage"},
                   {"stage", name},
                   {"x", from},
                   {"right", to},
                   {"middle", (from + to) / 2},
                   {"shade", (shaded = !shaded) ? "odd" : "even"},
                   {"label", fits ? name : ""}});
    data.push_back(std::move(record));
  }
}

void add_lane(json& data, const Lane& lane, double highest) {
  const TimelineRow& line = *lane.card.timeline;
  const std::vector<Moment> moments = moments_of(line);
  add_layers(data, lane, thinned(moments, lane.end_ms));
  add_bands(data, lane, bands_of(line));
  const auto peak = std::max_element(
      moments.begin(), moments.end(),
      [](const Moment& a, const Moment& b) { return a.total() < b.total(); });
  json card = lane.shared;
  card.update({{"kind", "card"},
               {"x", placed(lane.left)},
               {"right", placed(lane.left + 1)},
               {"peak_x", lane.x(peak->ms)},
               {"peak", peak->total()},
               {"room", 1.12 * highest},
               {"label", lane.shared["card_name"].get<std::string>() + " · " +
                             short_number(peak->total()) + " MiB"},
               {"end_label", short_number(lane.end_ms) + " ms"}});
  data.push_back(std::move(card));
}

bool recorded(const CardRow& card) {
  return card.timeline && !card.timeline->ms.empty();
}

// The timelines stand in one row of the case.
const Row* row_with_timelines(const Case& each) {
  for (const Row* row : each.ok) {
    if (std::any_of(row->memory.begin(), row->memory.end(), recorded)) return row;
  }
  return nullptr;
}

std::vector<const CardRow*> cards_shown(const Row& row) {
  std::vector<const CardRow*> cards;
  for (const CardRow& card : row.memory) {
    if (recorded(card)) cards.push_back(&card);
  }
  std::sort(cards.begin(), cards.end(),
            [](const CardRow* a, const CardRow* b) { return a->card < b->card; });
  if (cards.size() > kMostCards) {
    cards.erase(cards.begin() + kMostCards - 1, cards.end() - 1);  // and the last
  }
  return cards;
}

double highest_of(const Row& row) {
  double highest = 0;
  for (const CardRow* card : cards_shown(row)) {
    for (const Moment& moment : moments_of(*card->timeline)) {
      highest = std::max(highest, moment.total());
    }
  }
  return highest;
}

}  // namespace

json timeline_data(const std::vector<Case>& cases) {
  std::map<std::string, double> highest;  // by model: its panels have one scale
  const std::vector<const Case*> shown = largest_cases(cases, row_with_timelines);
  for (const Case* each : shown) {
    double& high = highest[each->model];
    high = std::max(high, highest_of(*row_with_timelines(*each)));
  }
  json data = json::array();
  for (const Case* each : shown) {
    const auto cards = cards_shown(*row_with_timelines(*each));
    double end_ms = 1e-3;
    for (const CardRow* card : cards) {
      end_ms = std::max(end_ms, card->timeline->ms.back());
    }
    for (size_t i = 0; i < cards.size(); ++i) {
      const json shared = {{"id", each->id},
                           {"panel", each->model + " · " + name_of(*each)},
                           {"case", name_of(*each)},
                           {"card_name", each->cards > 1 ? name_of_card(cards[i]->card)
                                                         : std::string("card 0")}};
      add_lane(data, {*cards[i], shared, static_cast<double>(i) * kPitch, end_ms},
               highest[each->model]);
    }
  }
  return data;
}

}  // namespace lockstep::charts
