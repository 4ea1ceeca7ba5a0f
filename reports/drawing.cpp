#include "reports/drawing.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "reports/publish.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;

// Two folders above this program: the repository, or what it was handed on in.
fs::path around_program() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path().parent_path();
}

fs::path python() {
  if (const char* named = std::getenv("LOCKSTEP_PYTHON")) return named;
  const fs::path carried = around_program() / "build/env/bin/python";
  return fs::exists(carried) ? carried : LOCKSTEP_REPORTS_PYTHON;
}

// What stands in web/, in the order of its names.
std::vector<fs::path> web_files(const fs::path& sources, const std::string& kind) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(sources / "web")) {
    if (entry.path().extension() == kind) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void render(const fs::path& sources, const fs::path& scratch) {
  const fs::path with = python();
  if (!fs::exists(with)) {
    throw std::runtime_error(with.string() +
                             ": the Python that draws the charts is not there; run "
                             "`make setup`, or name one in LOCKSTEP_PYTHON");
  }
  std::vector<std::string> command = {with.string(), (sources / "render.py").string(),
                                      scratch.string()};
  for (const fs::path& file : web_files(sources, ".js")) {
    command.push_back(file.string());
  }
  const Finished finished = run_program(command, scratch);
  if (finished.status == 0) return;
  std::string why =
      finished.errors.substr(0, finished.errors.find_last_not_of('\n') + 1);
  why = why.substr(why.rfind('\n') + 1);  // the last line is the one that says it
  throw std::runtime_error(with.string() + " could not draw the charts (exit status " +
                           std::to_string(finished.status) + ": " + why +
                           "); `make setup` installs what it needs");
}

}  // namespace

fs::path source_tree() {
  const fs::path carried = around_program();
  return fs::exists(carried / "reports/render.py") ? carried
                                                   : LOCKSTEP_REPORTS_SOURCE_TREE;
}

Drawn draw(const std::vector<charts::Chart>& charts, const fs::path& scratch) {
  const fs::path sources = source_tree() / "reports";
  for (const charts::Chart& chart : charts) {
    if (chart.empty) continue;
    write_file(scratch / (chart.name + ".vl.json"), chart.spec);
    write_file(scratch / (chart.name + ".page.json"), chart.page_spec);
  }
  render(sources, scratch);
  Drawn drawn;
  for (const charts::Chart& chart : charts) {
    drawn.pictures.push_back(
        chart.empty ? "" : read_file(scratch / (chart.name + ".page.svg")));
  }
  for (const fs::path& file : web_files(sources, ".css")) {
    drawn.assets.css += read_file(file);
  }
  drawn.assets.script = read_file(scratch / "script.js");
  drawn.assets.script_sha256 = read_file(scratch / "script.sha256");
  return drawn;
}

}  // namespace lockstep::reports
