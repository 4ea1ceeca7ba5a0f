// `report`: from DIR/runs.jsonl to the page and the charts.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "charts/cases.h"
#include "charts/charts.h"
#include "reports/compare.h"
#include "reports/drawing.h"
#include "reports/html.h"
#include "reports/page.h"
#include "reports/publish.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;

fs::path specifications() { return source_tree() / "charts/specs"; }

std::vector<Row> rows_of(const fs::path& file) {
  if (!fs::exists(file)) {
    throw std::runtime_error(file.string() +
                             " does not exist; `build/bin/bench` makes it, or name "
                             "another folder with --in");
  }
  std::vector<Row> rows = rows::read_rows(file.string());
  if (std::none_of(rows.begin(), rows.end(),
                   [](const Row& row) { return row.status == "ok"; })) {
    std::string first = rows.empty() ? "" : "; the first says: " + rows[0].message;
    throw std::runtime_error(file.string() + ": none of its " +
                             std::to_string(rows.size()) + " rows is ok" + first +
                             "; run `build/bin/bench` again");
  }
  return rows;
}

// Beside the rows, or where it was named; nowhere is well, too.
std::vector<charts::CollectiveFigure> collectives_of(const fs::path& in,
                                                     const fs::path& named) {
  if (!named.empty()) return charts::read_collectives(named.string());
  const fs::path beside = in / "collectives.jsonl";
  if (!fs::exists(beside)) return {};
  return charts::read_collectives(beside.string());
}

void report(const fs::path& in, const fs::path& out, const fs::path& collectives) {
  const std::vector<Row> rows = rows_of(in / "runs.jsonl");
  const std::vector<Case> cases = charts::gather_cases(rows);
  const std::vector<Chart> charts = make_charts(
      run_chart_data(cases, collectives_of(in, collectives)), cases, specifications());
  const ScratchFolder scratch(out);
  const Drawn drawn = draw(charts, scratch.path());
  write_file(scratch.path() / "index.html",
             document("Lockstep: one model, one loop, several ways",
                      make_page(rows, cases, charts, drawn.pictures), drawn.assets));

  // Everything is made: from here on only renames.
  fs::create_directories(out / "charts");
  for (const Chart& chart : charts) {
    for (const char* kind : {".svg", ".png"}) {
      const fs::path to = out / "charts" / (chart.name + kind);
      if (chart.empty) {
        fs::remove(to);  // an older run's picture would be taken for this run's
      } else {
        move_into_place(scratch.path() / (chart.name + kind), to);
      }
    }
  }
  move_into_place(scratch.path() / "index.html", out / "index.html");
}

fs::path rows_file(const fs::path& named) {
  return fs::is_directory(named) ? named / "runs.jsonl" : named;
}

void report_two(const fs::path& then, const fs::path& now, const fs::path& out) {
  const Run before = {then.string(), rows_of(rows_file(then))};
  const Run after = {now.string(), rows_of(rows_file(now))};
  const std::vector<Compared> compared = compare(before.rows, after.rows);
  std::vector<Row> all = before.rows;
  all.insert(all.end(), after.rows.begin(), after.rows.end());
  const std::vector<Chart> charts =
      make_charts({{"compare_change", change_data(compared)},
                   {"compare_rates", rates_data(compared)}},
                  charts::gather_cases(all), specifications());
  const ScratchFolder scratch(out);
  const Drawn drawn = draw(charts, scratch.path());
  write_file(scratch.path() / "compare.html",
             document("Lockstep: two runs compared",
                      make_comparison(before, after, compared, charts, drawn.pictures),
                      drawn.assets));
  move_into_place(scratch.path() / "compare.html", out / "compare.html");
}

}  // namespace
}  // namespace lockstep::reports

int main(int argc, char** argv) {
  CLI::App app(
      "Makes index.html and charts/ (SVG and PNG) from the rows that `bench` left in "
      "runs.jsonl; of two runs, compare.html.");
  app.name("report");
  std::string in = "reports/out", out, collectives;
  app.add_option("--in", in, "the folder with runs.jsonl")->capture_default_str();
  app.add_option("--out", out,
                 "the folder to write to (the one of --in; of two runs the later "
                 "one's, where it is a folder, else reports/out)");
  std::vector<std::string> runs;
  app.add_option("RUNS", runs,
                 "two runs to compare, the earlier one first: folders with runs.jsonl, "
                 "or files of rows");
  app.add_option("--collectives", collectives,
                 "a file of `bench collectives --out` (collectives.jsonl beside the "
                 "rows, if there is one)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::cerr << "report: " << error.what() << "; see report --help\n";
    return 2;
  }
  if (!runs.empty() && runs.size() != 2) {
    std::cerr << "report: " << runs.size()
              << (runs.size() == 1 ? " run is" : " runs are")
              << " named; name two to compare, or one with --in\n";
    return 2;
  }
  if (!runs.empty() && !collectives.empty()) {
    std::cerr << "report: --collectives " << collectives
              << ": two runs are compared by their rows alone; leave it out\n";
    return 2;
  }
  std::string page = "index.html";
  try {
    if (runs.empty()) {
      if (out.empty()) out = in;
      lockstep::reports::report(in, out, collectives);
    } else {
      if (out.empty()) out = std::filesystem::is_directory(runs[1]) ? runs[1] : in;
      lockstep::reports::report_two(runs[0], runs[1], out);
      page = "compare.html";
    }
  } catch (const std::exception& error) {
    std::cerr << "report: " << error.what() << "\n";
    return 1;
  }
  std::cout << out << "/" << page << "\n";
  return 0;
}
