// The records of the memory chart. Its bars stand in places counted here, not on an
// axis of names: mode beside mode, and card beside card within a case.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "charts/charts.h"
#include "charts/words.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;

// One bar's categories from the bottom up; what the ledger did not name is shown as
// such.
std::vector<std::pair<std::string, double>> stack_of(const CardRow& card) {
  const std::vector<std::string>& order = stack_order();
  std::vector<std::pair<std::string, double>> stack;
  double named = 0;
  for (const auto& [category, bytes] : card.at_peak_bytes) {
    if (bytes > 0) stack.emplace_back(spaced(category), static_cast<double>(bytes));
    named += static_cast<double>(bytes);
  }
  std::stable_sort(stack.begin(), stack.end(), [&order](const auto& a, const auto& b) {
    return std::find(order.begin(), order.end(), a.first) <
           std::find(order.begin(), order.end(), b.first);
  });
  const double rest = static_cast<double>(card.peak_bytes) - named;
  if (rest >= 1) stack.emplace_back("not attributed", rest);
  return stack;
}

// Where the bars of one case stand. The unit is one bar's place; a case of one or two
// cards still gets room for its name.
struct Slots {
  double left = 0;
  double width = 0;
  double first = 0;  // left edge of card 0's place
};

constexpr double kGap = 0.9;
constexpr double kMostPlaces = 80;

// The values alone: what they are values of stands in the legend of the other charts.
std::string label_of(const Case& each) {
  std::istringstream words(each.variant);
  std::string word, label;
  while (words >> word) label += short_option(word) + "\n";
  return label + count_of(each.cards, "card");
}

size_t longest_word(const std::string& lines) {
  std::istringstream words(lines);
  std::string word;
  size_t longest = 0;
  while (std::getline(words, word)) longest = std::max(longest, word.size());
  return longest;
}

Slots slots_after(double cursor, const Case& each) {
  Slots slots;
  const double bars = static_cast<double>(each.typical->memory.size());
  slots.left = cursor;
  // About 30 pixels a place and 6.5 a letter (fit_places in charts.cpp).
  slots.width = std::max({bars, 1.8, 0.22 * longest_word(label_of(each))});
  slots.first = cursor + (slots.width - bars) / 2;
  return slots;
}

void add_card(json& data, const Case& each, const CardRow& card, double place,
              bool labelled) {
  const bool primary = card.card == 0 && each.cards > 1;
  const double peak = card.peak_bytes / kMiB;
  const json shared = {{"id", each.id},
                       {"model", each.model},
                       {"case", name_of(each)},
                       {"card", card.card},
                       {"card_name", name_of_card(card.card)},
                       {"left", place + 0.08},
                       {"right", place + 0.92},
                       {"middle", place + 0.5},
                       {"peak_mib", peak}};
  double low = 0;
  for (const auto& [category, bytes] : stack_of(card)) {
    json segment = shared;
    segment.update({{"kind", "segment"},
                    {"category", category},
                    {"mib", bytes / kMiB},
                    {"low", low},
                    {"high", low + bytes / kMiB}});
    low += bytes / kMiB;
    data.push_back(segment);
  }
  json whole = shared;
  whole.update({{"kind", "card"},
                {"primary", primary},
                {"low", 0},
                {"high", peak},
                {"label", labelled ? short_number(peak) : ""},
                {"card_label", labelled ? std::to_string(card.card) : ""}});
  data.push_back(whole);
}

void add_case(json& data, const Case& each, const Slots& slots) {
  std::string detail = label_of(each);
  if (const auto imbalance = memory_imbalance(*each.typical)) {
    detail += "\n×" + fixed(*imbalance, 2);
  }
  data.push_back({{"kind", "case"},
                  {"id", each.id},
                  {"model", each.model},
                  {"mode", each.mode},
                  {"series", each.series},
                  {"mode_label", each.mode},
                  {"detail_label", detail},
                  {"left", slots.left + 0.08},
                  {"right", slots.left + slots.width - 0.08},
                  {"middle", slots.left + slots.width / 2}});
}

}  // namespace

const std::vector<std::string>& stack_order() {
  static const std::vector<std::string> order = {
      "parameters",  "replicas", "gradients", "buckets",          "optimizer state",
      "activations", "input",    "outputs",   "gathered outputs", "other"};
  return order;
}

json memory_data(const std::vector<Case>& cases) {
  json data = json::array();
  for (const std::string& model : models_of(cases)) {
    double end = 0;
    std::vector<std::pair<const Case*, Slots>> placed;
    for (const Case& each : cases) {
      if (each.model != model || !each.typical || each.typical->memory.empty())
        continue;
      placed.emplace_back(&each, slots_after(end, each));
      end = placed.back().second.left + placed.back().second.width + kGap;
    }
    double highest = 0;
    for (const auto& [each, slots] : placed) {
      std::vector<CardRow> cards = each->typical->memory;
      std::sort(cards.begin(), cards.end(),
                [](const CardRow& a, const CardRow& b) { return a.card < b.card; });
      for (size_t i = 0; i < cards.size(); ++i) {
        // Where the chart cannot grow any more only a case's first and last bar have
        // room.
        const bool labelled =
            end <= kMostPlaces || i == 0 || (i + 1 == cards.size() && i > 2);
        highest = std::max(highest, cards[i].peak_bytes / kMiB);
        add_card(data, *each, cards[i], slots.first + static_cast<double>(i), labelled);
      }
      add_case(data, *each, slots);
    }
    if (placed.empty()) continue;
    data.push_back({{"kind", "headroom"},
                    {"model", model},
                    {"right", end - kGap / 2},
                    {"high", 1.14 * highest}});
  }
  return data;
}

}  // namespace lockstep::charts
