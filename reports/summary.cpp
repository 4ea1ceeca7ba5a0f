// The numbers in sentences. Each is made where its number is there, and only then.
#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "charts/words.h"
#include "reports/html.h"
#include "reports/page.h"

namespace lockstep::reports {
namespace {

using charts::count_of;
using charts::fixed;
using charts::short_number;
using charts::spoken_mode;

std::string bold(const std::string& text) { return "<b>" + text + "</b>"; }

std::string times(double value) { return fixed(value, 2) + "×"; }

std::string percent(double share) { return fixed(100 * share, 0) + "\u00a0%"; }

// "1.53× to 1.63×", or one number where they look alike.
std::string range_of(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (times(*low) == times(*high)) return bold(times(*low));
  return bold(times(*low)) + " to " + bold(times(*high));
}

// The fastest case of a model's mode at its most cards, and how many it was chosen
// from.
struct Chosen {
  const Case* best = nullptr;
  int ways = 0;
};

Chosen choose(const std::vector<Case>& cases, const std::string& model,
              const std::string& mode) {
  Chosen chosen;
  for (const Case& each : cases) {
    if (each.model != model || each.mode != mode || each.cards == 1 || !each.speed_up) {
      continue;
    }
    if (chosen.best == nullptr || each.cards > chosen.best->cards) {
      chosen = {&each, 1};
    } else if (each.cards == chosen.best->cards) {
      ++chosen.ways;
      if (*each.speed_up > *chosen.best->speed_up) chosen.best = &each;
    }
  }
  return chosen;
}

std::string memory_clause(const std::vector<double>& imbalances) {
  if (imbalances.empty()) return "";
  const double most = *std::max_element(imbalances.begin(), imbalances.end());
  if (most < 1.005) return "";
  return "; its primary card held " +
         std::string(imbalances.size() > 1 ? "up to " : "") + bold(times(most)) +
         " the memory of the others";
}

// One mode over all models: "DDP on 4 cards: 3.60× one card’s samples/s".
std::string headline_of(const std::vector<Case>& cases, const std::string& mode) {
  std::vector<double> speed_ups, imbalances;
  int fewest = 0, most = 0;
  for (const std::string& model : models_of(cases)) {
    const Case* best = choose(cases, model, mode).best;
    if (best == nullptr) continue;
    speed_ups.push_back(*best->speed_up);
    fewest = fewest == 0 ? best->cards : std::min(fewest, best->cards);
    most = std::max(most, best->cards);
    const auto imbalance = memory_imbalance(*best->typical);
    if (imbalance && rows::is_data_parallel(mode)) imbalances.push_back(*imbalance);
  }
  if (speed_ups.empty()) return "";
  const std::string cards =
      fewest == most ? count_of(most, "card")
                     : std::to_string(fewest) + " to " + count_of(most, "card");
  const std::string models =
      models_of(cases).size() > 1 && speed_ups.size() > 1
          ? ", over " + count_of(static_cast<int64_t>(speed_ups.size()), "model")
          : "";
  return escape_html(spoken_mode(mode)) + " on " + cards + ": " + range_of(speed_ups) +
         " one card’s samples/s" + models + memory_clause(imbalances) + ".";
}

std::string mode_line(const Chosen& chosen) {
  const Case& best = *chosen.best;
  std::string line = bold(escape_html(spoken_mode(best.mode))) + " on " +
                     count_of(best.cards, "card") + ": " + bold(times(*best.speed_up));
  std::string words;
  std::istringstream options(best.variant);
  for (std::string option; options >> option;) {
    words += (words.empty() ? "" : ", ") + escape_html(charts::short_option(option));
  }
  if (chosen.ways > 1) words += ", the fastest of " + std::to_string(chosen.ways);
  if (!words.empty()) line += " <small>(" + words + ")</small>";
  if (const auto imbalance = memory_imbalance(*best.typical)) {
    line += memory_clause({*imbalance});
  }
  if (best.overlap) {
    line += "; it hid " + bold(percent(*best.overlap)) + " of its communication";
  }
  return "<li>" + line + "</li>\n";
}

// Of a model's curves the one with the fastest step.
std::string cap_line(const std::vector<Case>& cases, const std::string& model) {
  const Case *best = nullptr, *worst = nullptr;
  for (const auto& curve : charts::cap_curves(cases)) {
    const Case* fastest = charts::best_of(curve);
    if (fastest->model != model) continue;
    if (best != nullptr && best->step_ms->median <= fastest->step_ms->median) continue;
    best = fastest;
    worst =
        *std::max_element(curve.begin(), curve.end(), [](const Case* a, const Case* b) {
          return a->step_ms->median < b->step_ms->median;
        });
  }
  if (best == nullptr) return "";
  const auto cap = [](const Case* each) {
    return escape_html(option_of(*each, "bucket-cap-mb")) + " MiB";
  };
  return "<li>Best bucket cap: " + bold(cap(best)) + ", " +
         short_number(best->step_ms->median) + " ms a step on " +
         count_of(best->cards, "card") + " (" + short_number(worst->step_ms->median) +
         " ms at " + cap(worst) + ")</li>\n";
}

std::string prediction_line(const std::vector<Case>& cases, const std::string& model) {
  double sum = 0, worst = 0;
  int count = 0, held = 0;
  for (const Case& each : cases) {
    const rows::PredictedRow* predicted = charts::prediction_of(each);
    if (each.model != model || predicted == nullptr) continue;
    const double measured = each.step_ms->median;
    const double off = std::abs(predicted->value / measured - 1);
    sum += off;
    worst = std::max(worst, off);
    ++count;
    if (predicted->low <= measured && measured <= predicted->high) ++held;
  }
  if (count == 0) return "";
  const auto part = [](double share) { return fixed(100 * share, 1) + "\u00a0%"; };
  if (count == 1) {
    return "<li>Its predicted step was off by " + bold(part(sum)) + "</li>\n";
  }
  return "<li>Predicted steps of " + std::to_string(count) + " cases were off by " +
         bold(part(sum / count)) + " on average and " + part(worst) + " at most; " +
         std::to_string(held) + " lay within their interval</li>\n";
}

std::string model_card(const std::vector<Case>& cases, const std::string& model) {
  std::string items;
  for (const std::string& mode : modes_of(cases)) {
    const Chosen chosen = choose(cases, model, mode);
    if (chosen.best != nullptr) items += mode_line(chosen);
  }
  items += cap_line(cases, model) + prediction_line(cases, model);
  if (items.empty()) return "";
  return "<div data-model=\"" + escape_html(model) + "\"><h3>" + escape_html(model) +
         "</h3><ul>" + items + "</ul></div>\n";
}

// "63 runs of 21 cases. 1 case failed and 2 could not run here: the table says why."
std::string counts(const std::vector<Row>& rows, const std::vector<Case>& cases) {
  int64_t failed = 0, waived = 0;
  for (const Case& each : cases) {
    bool error = false;
    for (const Row* row : each.failed) error = error || row->status != "waived";
    if (error) ++failed;
    if (!error && !each.failed.empty()) ++waived;
  }
  std::string text = count_of(static_cast<int64_t>(rows.size()), "run") + " of " +
                     count_of(static_cast<int64_t>(cases.size()), "case") + ".";
  if (failed > 0) text += " " + count_of(failed, "case") + " failed";
  if (waived > 0) {
    text += (failed > 0 ? " and " + std::to_string(waived)
                        : " " + count_of(waived, "case")) +
            " could not run here";
  }
  return failed + waived > 0 ? text + ": the table says why." : text;
}

}  // namespace

std::string summary(const std::vector<Row>& rows, const std::vector<Case>& cases) {
  std::string headline, models;
  for (const char* mode : {"ddp", "dp"}) {
    const std::string sentence = headline_of(cases, mode);
    if (!sentence.empty()) headline += (headline.empty() ? "" : " ") + sentence;
  }
  for (const std::string& model : models_of(cases)) models += model_card(cases, model);
  return "<section class=\"short\">\n<h2>In short</h2>\n" +
         (headline.empty() ? "" : "<p class=\"headline\">" + headline + "</p>\n") +
         (models.empty() ? "" : "<div class=\"models\">\n" + models + "</div>\n") +
         flags_explained(rows, cases) + "<p class=\"small\">" + counts(rows, cases) +
         " Speed-ups are throughput over one card’s, medians over repetitions.</p>\n" +
         "</section>\n";
}

}  // namespace lockstep::reports
