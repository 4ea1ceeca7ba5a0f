// The page of two runs: what changed in words, both charts, the table.
#include <algorithm>
#include <cmath>

#include "charts/words.h"
#include "reports/html.h"
#include "reports/page.h"

namespace lockstep::reports {
namespace {

using charts::count_of;
using charts::fixed;
using charts::Spread;

std::string signed_percent(double change) {
  return (change < 0 ? "−" : "+") + fixed(100 * std::abs(change), 1) + "\u00a0%";
}

std::string cell(const std::optional<Spread>& figure, bool rate) {
  if (!figure) return "<td class=\"n\">–</td>";
  const auto text = [rate](double value) {
    return rate ? charts::grouped(value) : fixed(value, 3);
  };
  return "<td class=\"n\"><b>" + text(figure->median) + "</b> <small>[" +
         text(figure->low) + "–" + text(figure->high) + "]</small></td>";
}

std::string table(const std::vector<Compared>& cases) {
  std::string html =
      "<table>\n<thead><tr><th scope=\"col\">case</th>"
      "<th scope=\"col\">step over one card’s<br><small>then</small></th>"
      "<th scope=\"col\"><br><small>now</small></th><th scope=\"col\">change</th>"
      "<th scope=\"col\">samples/s<br><small>then</small></th>"
      "<th scope=\"col\"><br><small>now</small></th></tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < cases.size(); ++i) {
    const Compared& each = cases[i];
    std::string change = "–";
    if (each.then.repetitions == 0) change = "only now";
    if (each.now.repetitions == 0) change = "only then";
    if (each.change()) {
      change = "<b>" + signed_percent(*each.change()) + "</b> <small>" +
               words_of(each.verdict()) + "</small>";
    }
    html += "<tr data-id=\"" + std::to_string(i) + "\"><th scope=\"row\">" +
            escape_html(each.name) + "</th>" + cell(each.then.over_single, false) +
            cell(each.now.over_single, false) + "<td class=\"n\">" + change + "</td>" +
            cell(each.then.samples_per_second, true) +
            cell(each.now.samples_per_second, true) + "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

std::string machines_of(const std::vector<Row>& rows) {
  std::vector<std::string> machines;
  for (const Row& row : rows) machines.push_back(row.machine.cpu);
  return joined(machines);
}

std::string in_words(const std::vector<Compared>& cases) {
  int faster = 0, slower = 0, same = 0;
  const Compared* largest = nullptr;
  for (const Compared& each : cases) {
    const Verdict verdict = each.verdict();
    if (verdict == Verdict::overlap) ++same;
    if (verdict == Verdict::faster) ++faster;
    if (verdict == Verdict::slower) ++slower;
    if (verdict != Verdict::faster && verdict != Verdict::slower) continue;
    if (largest == nullptr || std::abs(*each.change()) > std::abs(*largest->change())) {
      largest = &each;
    }
  }
  const int both = faster + slower + same;
  if (both == 0) {
    return "No case of both runs has a single card beside it: there is nothing to set "
           "its step over, and samples/s is all there is to compare.";
  }
  std::string words = "Of " + count_of(both, "case") + " in both runs <b>" +
                      std::to_string(faster) + "</b> got faster and <b>" +
                      std::to_string(slower) + "</b> slower by more than " +
                      (both == 1 ? "its" : "their") + " ranges.";
  if (largest != nullptr) {
    words += " The largest change: " + escape_html(largest->name) + ", <b>" +
             signed_percent(*largest->change()) + "</b> a step.";
  }
  return words;
}

std::string run_facts(const std::string& title, const std::string& name,
                      const std::vector<Row>& rows) {
  return "<div><h3>" + title + ": " + escape_html(name) + "</h3>\n" + facts(rows) +
         "</div>\n";
}

}  // namespace

std::string make_comparison(const Run& then, const Run& now,
                            const std::vector<Compared>& cases,
                            const std::vector<Chart>& charts,
                            const std::vector<std::string>& pictures) {
  std::vector<Filtered> filtered;
  for (const Compared& each : cases) {
    filtered.push_back({each.model, each.mode, each.backend});
  }
  std::string html =
      "<header>\n<h1>Lockstep: two runs</h1>\n<p class=\"lead\">Each case’s step over "
      "its own run’s single card, then and now.</p>\n</header>\n"
      "<section class=\"short\">\n<h2>In short</h2>\n<p class=\"headline\">" +
      in_words(cases) + "</p>\n";
  if (machines_of(then.rows) != machines_of(now.rows)) {
    html +=
        "<p>The runs are of different machines. A ratio over the single card "
        "leaves out how fast a core is, but not how cards share a machine.</p>\n";
  }
  html += "<div class=\"models\">\n" + run_facts("Then", then.name, then.rows) +
          run_facts("Now", now.name, now.rows) + "</div>\n";
  std::vector<Row> rows = then.rows;
  rows.insert(rows.end(), now.rows.begin(), now.rows.end());
  html += flags_explained(rows, charts::gather_cases(rows)) + "</section>\n" +
          cases_for_filters(filtered);
  for (size_t i = 0; i < charts.size(); ++i) {
    if (!charts[i].empty) html += figure(charts[i], pictures[i]);
  }
  return html +
         "<section>\n<h2>All cases</h2>\n<p>Medians over repetitions, and their "
         "ranges. <code>bench --compare</code> says whether a change could be "
         "chance.</p>\n<div class=\"scroll\">\n" +
         table(cases) +
         "</div>\n</section>\n<footer>Made by <code>report</code> from "
         "two files of rows alone.</footer>\n";
}

}  // namespace lockstep::reports
