// `report`: from DIR/runs.jsonl to the page and the charts.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "reports/cases.h"
#include "reports/charts.h"
#include "reports/page.h"
#include "reports/publish.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;

// Where this program was built from, and with which Python environment: CMake gives
// both.
fs::path source_folder() { return LOCKSTEP_REPORTS_SOURCE; }

fs::path python() {
  const char* named = std::getenv("LOCKSTEP_PYTHON");
  const fs::path path =
      named != nullptr ? fs::path(named) : fs::path(LOCKSTEP_REPORTS_PYTHON);
  if (!fs::exists(path)) {
    throw std::runtime_error(path.string() +
                             ": the Python that draws the charts is not there; run "
                             "`make setup`, or name one in LOCKSTEP_PYTHON");
  }
  return path;
}

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

void draw(const std::vector<Chart>& charts, const fs::path& scratch) {
  for (const Chart& chart : charts) {
    if (!chart.empty) write_file(scratch / (chart.name + ".vl.json"), chart.spec);
  }
  const fs::path interpreter = python();
  const Finished finished =
      run_program({interpreter.string(), (source_folder() / "render.py").string(),
                   scratch.string(), (source_folder() / "page.js").string()},
                  scratch);
  if (finished.status == 0) return;
  std::string why =
      finished.errors.substr(0, finished.errors.find_last_not_of('\n') + 1);
  why = why.substr(why.rfind('\n') + 1);  // the last line is the one that says it
  throw std::runtime_error(interpreter.string() +
                           " could not draw the charts (exit status " +
                           std::to_string(finished.status) + ": " + why +
                           "); `make setup` installs what it needs");
}

void report(const fs::path& in, const fs::path& out) {
  const std::vector<Row> rows = rows_of(in / "runs.jsonl");
  const std::vector<Case> cases = gather_cases(rows);
  PageParts parts;
  parts.charts = make_charts(cases, source_folder() / "charts");

  const ScratchFolder scratch(out);
  draw(parts.charts, scratch.path());
  for (const Chart& chart : parts.charts) {
    parts.pictures.push_back(
        chart.empty ? "" : read_file(scratch.path() / (chart.name + ".svg")));
  }
  parts.css = read_file(source_folder() / "page.css");
  parts.script = read_file(scratch.path() / "script.js");
  parts.script_sha256 = read_file(scratch.path() / "script.sha256");
  write_file(scratch.path() / "index.html", make_page(rows, cases, parts));

  // Everything is made: from here on only renames.
  fs::create_directories(out / "charts");
  for (const Chart& chart : parts.charts) {
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

}  // namespace
}  // namespace lockstep::reports

int main(int argc, char** argv) {
  CLI::App app(
      "Makes index.html and charts/ (SVG and PNG) from the rows that `bench` left in "
      "runs.jsonl.");
  app.name("report");
  std::string in = "reports/out", out;
  app.add_option("--in", in, "the folder with runs.jsonl")->capture_default_str();
  app.add_option("--out", out, "the folder to write to (the one of --in)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::cerr << "report: " << error.what() << "; see report --help\n";
    return 2;
  }
  if (out.empty()) out = in;
  try {
    lockstep::reports::report(in, out);
  } catch (const std::exception& error) {
    std::cerr << "report: " << error.what() << "\n";
    return 1;
  }
  std::cout << out << "/index.html\n";
  return 0;
}
