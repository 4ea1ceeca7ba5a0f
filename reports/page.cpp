#include "reports/page.h"

#include <algorithm>
#include <set>

#include "reports/words.h"

namespace lockstep::reports {
namespace {

// What to look for in a chart, by the chart's name.
std::string caption_of(const std::string& chart) {
  if (chart == "throughput") {
    return "How far each mode's line falls below the dashed ideal is what its "
           "communication and its waiting cost. A line that stays flat says that "
           "another "
           "card brings nothing.";
  }
  if (chart == "memory") {
    return "Under DataParallel (dp) look at the primary card, outlined and marked ▼: "
           "it "
           "holds the whole batch, the gathered outputs and the optimizer's state on "
           "top "
           "of what every card holds. Under DistributedDataParallel (ddp) all cards "
           "are "
           "the same height.";
  }
  if (chart == "timeline") {
    return "Read a lane from left to right: activations grow in the forward pass and "
           "go in the backward pass, where gradients come in their place. What only "
           "the primary card's lane shows under DataParallel (dp) is what the other "
           "cards wait for.";
  }
  if (chart == "phases") {
    return "Red is communication that nothing hides. DataParallel pays it for scatter, "
           "replicate, gather and reduce; DistributedDataParallel starts its "
           "all-reduce "
           "during backward, and only what is left over is red.";
  }
  return "Splitting a batch over cards must not change the training. Lines of the same "
         "number of cards cover each other; one that leaves the others is a bug.";
}

std::string joined(const std::set<std::string>& values) {
  std::string text;
  for (const std::string& value : values) {
    if (value.empty()) continue;
    text += (text.empty() ? "" : ", ") + value;
  }
  return text;
}

std::string fact(const std::string& name, const std::string& value) {
  if (value.empty()) return "";
  return "<div><dt>" + name + "</dt><dd>" + escape_html(value) + "</dd></div>\n";
}

// Rows of several runs may stand in one file: then every value is shown.
std::string facts(const std::vector<Row>& rows) {
  std::set<std::string> machine, system, date, commit, libtorch, build, dataset, cards;
  for (const Row& row : rows) {
    machine.insert(row.machine.cpu + (row.machine.cores > 0
                                          ? ", " + count_of(row.machine.cores, "core")
                                          : ""));
    std::string os = row.machine.os;
    if (row.machine.memory_bytes > 0) {
      os += (os.empty() ? "" : ", ") +
            fixed(static_cast<double>(row.machine.memory_bytes) / (kMiB * 1024), 1) +
            " GiB memory";
    }
    system.insert(os);
    date.insert(row.date);
    commit.insert(row.commit);
    libtorch.insert(row.machine.libtorch);
    build.insert(row.machine.build);
    dataset.insert(row.dataset);
    const int64_t batch = row.scaling == "strong" ? row.global_batch : row.local_batch;
    cards.insert(row.scaling + " scaling, " +
                 (row.scaling == "strong" ? "global" : "local") + " batch " +
                 std::to_string(batch));
  }
  date.erase("");
  std::string when;
  if (!date.empty()) when = *date.begin();
  if (date.size() > 1) when += " to " + *date.rbegin();
  return "<dl class=\"facts\">\n" + fact("Machine", joined(machine)) +
         fact("System", joined(system)) + fact("Date", when) +
         fact("Commit", joined(commit)) + fact("LibTorch", joined(libtorch)) +
         fact("Build", joined(build)) + fact("Data set", joined(dataset)) +
         fact("Batch", joined(cards)) + "</dl>\n";
}

std::string flags_explained(const std::vector<Row>& rows,
                            const std::vector<Case>& cases) {
  std::set<std::string> flags;
  for (const Row& row : rows) flags.insert(row.flags.begin(), row.flags.end());
  std::string html;
  const auto add = [&html](const std::string& flag, const std::string& meaning) {
    html += "<li><span class=\"flag\">" + escape_html(flag) + "</span> " + meaning +
            "</li>\n";
  };
  for (const std::string& flag : flags) {
    if (flag == "emulated") {
      std::string notes;
      for (const std::string& note : card_notes(cases))
        notes += escape_html(note) + " ";
      add(flag, "The cards are threads and processes of a CPU. " + notes +
                    "Compare modes with one another, not with real GPUs: there is no "
                    "interconnect, and all cards share one memory bus.");
    } else if (flag == "oversubscribed") {
      add(flag,
          "More threads than cores: cards waited for one another's cores, so more "
          "cards "
          "cannot be faster here.");
    } else if (flag == "lossy") {
      add(flag, "An option changes the arithmetic: losses may differ from one card's.");
    } else {
      add(flag, "");
    }
  }
  return html.empty() ? "" : "<ul class=\"flags\">\n" + html + "</ul>\n";
}

// The largest case of every mode, in words.
std::string in_short(const std::vector<Case>& cases) {
  std::string html;
  for (const std::string& model : models_of(cases)) {
    std::string items;
    for (size_t i = 0; i < cases.size(); ++i) {
      const Case& each = cases[i];
      const bool last = i + 1 == cases.size() || cases[i + 1].model != each.model ||
                        cases[i + 1].series != each.series;
      if (each.model != model || !last || each.cards == 1 || !each.speed_up) continue;
      items += "<li><b>" + escape_html(each.series) + "</b> on " +
               count_of(each.cards, "card") + ": <b>" + fixed(*each.speed_up, 2) +
               " ×</b> one card’s samples/s";
      if (const auto imbalance = memory_imbalance(*each.typical)) {
        items += "; its primary card’s peak is <b>" + fixed(*imbalance, 2) +
                 " ×</b> the others’";
      }
      items += "</li>\n";
    }
    if (items.empty()) continue;
    html += "<div><h3>" + escape_html(model) + "</h3><ul>" + items + "</ul></div>\n";
  }
  return html.empty() ? "" : "<section class=\"short\">\n" + html + "</section>\n";
}

std::string figures(const PageParts& parts) {
  std::string html;
  for (size_t i = 0; i < parts.charts.size(); ++i) {
    const Chart& chart = parts.charts[i];
    if (chart.empty && chart.name == "timeline") continue;  // seldom asked for
    if (chart.empty) {
      html += "<p class=\"none\">No case has anything to show for " + chart.name +
              ": it was not measured.</p>\n";
      continue;
    }
    html += "<figure data-chart=\"" + chart.name + "\">\n<figcaption>" +
            caption_of(chart.name) + "</figcaption>\n<div class=\"scroll\">" +
            "<div class=\"still\">" + parts.pictures[i] + "</div></div>\n" +
            "<script type=\"application/json\">" + escape_json(chart.spec) +
            "</script>\n</figure>\n";
  }
  return html;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string escape_json(const std::string& json) {
  // Outside of its strings JSON has none of these, so each can be written as an escape.
  std::string escaped;
  for (char c : json) {
    switch (c) {
      case '<':
        escaped += "\\u003c";
        break;
      case '>':
        escaped += "\\u003e";
        break;
      case '&':
        escaped += "\\u0026";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string make_page(const std::vector<Row>& rows, const std::vector<Case>& cases,
                      const PageParts& parts) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
         "script-src 'sha256-" +
         parts.script_sha256 +
         "'; style-src 'unsafe-inline'; "
         "img-src data: blob:; base-uri 'none'; form-action 'none'\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<link rel=\"icon\" href=\"data:,\">\n"
         "<title>Lockstep: one model, one loop, several ways</title>\n<style>\n" +
         parts.css +
         "</style>\n</head>\n<body>\n<main>\n<header>\n"
         "<h1>Lockstep</h1>\n<p class=\"lead\">One model trained with one loop, on one "
         "card, under DataParallel and under DistributedDataParallel: what each way "
         "costs in time, and in the memory of every card.</p>\n" +
         facts(rows) + flags_explained(rows, cases) + "</header>\n" + in_short(cases) +
         figures(parts) +
         "<section>\n<h2>All cases</h2>\n<p>Figures leave the warm-up out. Samples/s "
         "is "
         "the whole job’s, at the median step. Scaling efficiency is speed-up over the "
         "number of cards. Memory imbalance is the primary card’s peak over the mean "
         "of "
         "the others’. A dash: not measured, or there is nothing to compare "
         "with.</p>\n<div class=\"scroll\">\n" +
         cases_table(cases) +
         "</div>\n</section>\n<footer>Made by <code>report</code> from "
         "<code>runs.jsonl</code> alone; the charts are also in "
         "<code>charts/</code>.</footer>\n</main>\n<script>" +
         parts.script + "</script>\n</body>\n</html>\n";
}

}  // namespace lockstep::reports
