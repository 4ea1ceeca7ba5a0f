// The table of cases: every figure of the charts as text, and what has no figure in
// words.
#include <algorithm>
#include <sstream>

#include "charts/words.h"
#include "reports/html.h"
#include "reports/page.h"

namespace lockstep::reports {
namespace {

using charts::CardRow;
using charts::fixed;
using charts::grouped;
using charts::kMiB;
using charts::Spread;

std::string cell(const std::string& text, const std::string& kind = "") {
  return kind.empty() ? "<td>" + text + "</td>"
                      : "<td class=\"" + kind + "\">" + text + "</td>";
}

std::string number_or_dash(const std::optional<double>& value, int decimals) {
  return cell(value ? fixed(*value, decimals) : "–", "n");
}

std::string mode_cell(const Case& each) {
  std::istringstream options(each.variant);
  std::string words;
  for (std::string option; options >> option;) {
    words += (words.empty() ? "" : " ") + charts::short_option(option);
  }
  if (words.empty()) return cell(escape_html(each.mode));
  return cell(escape_html(each.mode) + " <small title=\"" + escape_html(each.variant) +
              "\">" + escape_html(words) + "</small>");
}

std::string rate_cell(const Case& each) {
  if (!each.samples_per_second) return cell("–", "n");
  const Spread& rate = *each.samples_per_second;
  std::string text = "<b>" + grouped(rate.median) + "</b>";
  if (each.ok.size() > 1) {
    text += " <small>[" + grouped(rate.low) + "–" + grouped(rate.high) + "]</small>";
  }
  return cell(text, "n");
}

std::string peaks_cell(const Case& each) {
  if (!each.typical || each.typical->memory.empty()) return cell("not measured");
  std::vector<CardRow> cards = each.typical->memory;
  std::sort(cards.begin(), cards.end(),
            [](const CardRow& a, const CardRow& b) { return a.card < b.card; });
  std::string text;
  for (const CardRow& card : cards) {
    const std::string peak = fixed(card.peak_bytes / kMiB, 1);
    const bool primary = card.card == 0 && each.cards > 1;
    if (!text.empty()) text += " · ";
    text += primary ? "<b title=\"card 0, the primary card\">▼" + peak + "</b>" : peak;
  }
  return cell(text, "peaks");
}

std::string words_of(const Case& each) {
  std::string text;
  if (each.typical) {
    for (const std::string& flag : each.typical->flags) {
      text += "<span class=\"flag\">" + escape_html(flag) + "</span> ";
    }
  }
  for (const Row* row : each.failed) {
    const std::string words =
        row->status == "waived" ? "waived (cannot run here): " : "error: ";
    const std::string line = "<span class=\"" + row->status + "\">" + words +
                             escape_html(row->message) + "</span> ";
    // Repetitions of one case mostly fail for one reason.
    if (text.find(line) == std::string::npos) text += line;
  }
  return text;
}

std::string imbalance_cell(const Case& each) {
  const auto imbalance =
      each.typical ? memory_imbalance(*each.typical) : std::optional<double>();
  return cell(imbalance ? "×" + fixed(*imbalance, 2) : "–", "n");
}

}  // namespace

std::string cases_table(const std::vector<Case>& cases) {
  std::string html =
      "<table>\n<thead><tr><th>model</th><th>mode</th><th>cards</th>"
      "<th>samples/s<br><small>median [slowest–fastest]</small></th>"
      "<th>step, ms<br><small>p50</small></th><th><br><small>p95</small></th>"
      "<th>speed-up</th><th>scaling<br>efficiency</th>"
      "<th>peak of each card, MiB<br><small>▼ primary card</small></th>"
      "<th>memory<br>imbalance</th><th>status</th></tr></thead>\n<tbody>\n";
  std::string model;
  for (const Case& each : cases) {
    // A line above each model's first case.
    html += "<tr data-id=\"" + std::to_string(each.id) + "\"" +
            (each.model == model ? ">" : " class=\"first\">");
    model = each.model;
    html += "<th scope=\"row\">" + escape_html(each.model) + "</th>";
    html += mode_cell(each) + cell(std::to_string(each.cards), "n");
    html += rate_cell(each);
    html += number_or_dash(each.step_p50_ms, 2) + number_or_dash(each.step_p95_ms, 2);
    html += cell(each.speed_up ? fixed(*each.speed_up, 2) + " ×" : "–", "n");
    html += cell(
        each.scaling_efficiency ? fixed(100 * *each.scaling_efficiency, 0) + " %" : "–",
        "n");
    html += peaks_cell(each) + imbalance_cell(each) + cell(words_of(each), "words");
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

}  // namespace lockstep::reports
