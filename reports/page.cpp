#include "reports/page.h"

#include <algorithm>
#include <set>

#include "charts/words.h"
#include "reports/html.h"

namespace lockstep::reports {
namespace {

using charts::count_of;
using charts::fixed;
using charts::kMiB;

// Longer ones stay closed until somebody asks for them.
constexpr size_t kLongTable = 40;

std::string flag_line(const std::string& flag, const std::string& meaning) {
  return "<li><span class=\"flag\">" + escape_html(flag) + "</span> " + meaning +
         "</li>\n";
}

// "2026-11-22T03:04:01Z" as "2026-11-22 03:04 UTC".
std::string spoken_date(const std::string& date) {
  if (date.size() != 20 || date[10] != 'T' || date[19] != 'Z') return date;
  return date.substr(0, 10) + " " + date.substr(11, 5) + " UTC";
}

std::string figures(const std::vector<Chart>& charts,
                    const std::vector<std::string>& pictures) {
  // What every run has, if it went well: only their absence is worth a line.
  const std::set<std::string> expected = {"throughput", "memory", "phases", "losses"};
  std::string html, missing;
  for (size_t i = 0; i < charts.size(); ++i) {
    if (!charts[i].empty) {
      html += figure(charts[i], pictures[i]);
    } else if (expected.count(charts[i].name) > 0) {
      missing += (missing.empty() ? "" : ", ") + charts[i].name;
    }
  }
  if (missing.empty()) return html;
  return html + "<p class=\"none\">Not measured in any case: " + missing + ".</p>\n";
}

std::string table_section(const std::vector<Case>& cases) {
  const std::string open = cases.size() > kLongTable ? "" : " open";
  return "<section>\n<h2>All cases</h2>\n<p>Figures leave the warm-up out. Samples/s "
         "is the whole job’s, at the median step. Scaling efficiency is speed-up over "
         "the number of cards. Memory imbalance is the primary card’s peak over the "
         "mean of the others’. A dash: not measured, or there is nothing to compare "
         "with.</p>\n<details class=\"long\"" +
         open + "><summary>" + count_of(static_cast<int64_t>(cases.size()), "case") +
         "</summary>\n<div class=\"scroll\">\n" + cases_table(cases) +
         "</div></details>\n</section>\n";
}

}  // namespace

// Rows of several runs may stand in one file: then every value is shown.
std::string facts(const std::vector<Row>& rows) {
  std::vector<std::string> machine, system, commit, libtorch, build, dataset, batches;
  std::set<std::string> date;
  for (const Row& row : rows) {
    machine.push_back(
        row.machine.cpu +
        (row.machine.cores > 0 ? ", " + count_of(row.machine.cores, "core") : ""));
    std::string os = row.machine.os;
    if (row.machine.memory_bytes > 0) {
      os += (os.empty() ? "" : ", ") +
            fixed(static_cast<double>(row.machine.memory_bytes) / (kMiB * 1024), 1) +
            " GiB memory";
    }
    system.push_back(os);
    if (!row.date.empty()) date.insert(row.date);
    commit.push_back(row.commit);
    libtorch.push_back(row.machine.libtorch);
    build.push_back(row.machine.build);
    dataset.push_back(row.dataset);
    const bool strong = row.scaling == "strong";
    batches.push_back(row.scaling + " scaling, " + (strong ? "global" : "local") +
                      " batch " +
                      std::to_string(strong ? row.global_batch : row.local_batch));
  }
  std::string when;
  if (!date.empty()) when = spoken_date(*date.begin());
  if (date.size() > 1) when += " to " + spoken_date(*date.rbegin());
  return "<dl class=\"facts\">\n" + fact("Machine", joined(machine)) +
         fact("System", joined(system)) + fact("Date", when) +
         fact("Commit", joined(commit)) + fact("LibTorch", joined(libtorch)) +
         fact("Build", joined(build)) + fact("Data set", joined(dataset)) +
         fact("Batch", joined(batches)) + "</dl>\n";
}

std::string flags_explained(const std::vector<Row>& rows,
                            const std::vector<Case>& cases) {
  std::set<std::string> flags;
  for (const Row& row : rows) flags.insert(row.flags.begin(), row.flags.end());
  std::string html;
  for (const std::string& flag : flags) {
    if (flag == "emulated") {
      std::string notes;
      for (const std::string& note : charts::card_notes(cases)) {
        notes += escape_html(note) + " ";
      }
      html += flag_line(
          flag, "The cards are threads and processes of a CPU. " + notes +
                    "Compare modes with one another, not with real GPUs: there is no "
                    "interconnect, and all cards share one memory bus.");
    } else if (flag == "oversubscribed") {
      html += flag_line(
          flag,
          "More threads than cores: cards waited for one another’s cores, so more "
          "cards cannot be faster here.");
    } else if (flag == "lossy") {
      html += flag_line(
          flag, "An option changes the arithmetic: losses may differ from one card’s.");
    } else {
      html += flag_line(flag, "");
    }
  }
  return html.empty() ? "" : "<ul class=\"flags\">\n" + html + "</ul>\n";
}

std::string make_page(const std::vector<Row>& rows, const std::vector<Case>& cases,
                      const std::vector<Chart>& charts,
                      const std::vector<std::string>& pictures) {
  std::vector<Filtered> filtered;
  for (const Case& each : cases) {
    filtered.push_back({each.model, each.mode, option_of(each, "backend")});
  }
  return "<header>\n<h1>Lockstep</h1>\n<p class=\"lead\">One model trained with one "
         "loop, on one card, under DataParallel and under DistributedDataParallel: "
         "what each way costs in time, and in the memory of every card.</p>\n" +
         facts(rows) + "</header>\n" + summary(rows, cases) +
         cases_for_filters(filtered) + figures(charts, pictures) +
         table_section(cases) +
         "<footer>Made by <code>report</code> from <code>runs.jsonl</code> alone; the "
         "charts are also in <code>charts/</code>.</footer>\n";
}

}  // namespace lockstep::reports
