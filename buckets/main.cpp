// `buckets`: from the file of `ddp --bucket-times` to who was late, what was hidden,
// the pictures and one trace of all ranks.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "buckets/bucket_table.h"
#include "buckets/merged_trace.h"
#include "buckets/pictures.h"
#include "buckets/stragglers.h"
#include "buckets/words.h"
#include "reports/drawing.h"
#include "reports/publish.h"

namespace lockstep::buckets {
namespace {

namespace fs = std::filesystem;
using timing::RunTimes;

RunTimes read(const std::string& file) {
  if (!fs::exists(file)) {
    throw std::runtime_error(file + " does not exist; `ddp --bucket-times " + file +
                             "` makes it");
  }
  if (fs::is_directory(file)) {
    throw std::runtime_error(file +
                             " is a folder; name the file of `ddp --bucket-times`");
  }
  const std::string text = reports::read_file(file);
  RunTimes times;
  try {
    times = timing::times_from_json_lines(text);
  } catch (const std::exception& error) {
    throw std::runtime_error(file + ": " + error.what() +
                             "; `ddp --bucket-times` makes a whole one");
  }
  if (times.steps.empty()) {
    throw std::runtime_error(file + " holds no step: there was none, or its reducer " +
                             "has no buckets");
  }
  return times;
}

// Everything is made before the first file is put into the folder.
void leave_in(const fs::path& folder, const std::vector<charts::Chart>& charts,
              const MergedTrace& trace) {
  const reports::ScratchFolder scratch(folder);
  reports::draw(charts, scratch.path());
  reports::write_file(scratch.path() / "trace.json", trace.json);
  std::vector<std::string> names = {"trace.json"};
  for (const charts::Chart& chart : charts) {
    for (const char* kind : {".svg", ".png"}) names.push_back(chart.name + kind);
  }
  for (const std::string& name : names) {
    reports::move_into_place(scratch.path() / name, folder / name);
  }
  // What an earlier run left and this one has not would be taken for this run's.
  for (const char* name : {"stragglers", "step", "waterfall"}) {
    for (const char* kind : {".svg", ".png"}) {
      if (std::find(names.begin(), names.end(), name + std::string(kind)) ==
          names.end()) {
        fs::remove(folder / (name + std::string(kind)));
      }
    }
  }
}

void report(const std::string& file, const std::string& out) {
  const RunTimes times = read(file);
  const BucketTable table = bucket_table(times);
  const Comparison comparison = compare(times);
  const Verdict verdict = find_stragglers(comparison);
  const ComparedStep* shown = step_to_show(comparison, verdict);
  std::string text = run_in_words(times) + "\n\n" + to_markdown(table) + "\n" +
                     step_in_words(times, table) + "\n\nStragglers:\n";
  for (const std::string& one : verdict_in_words(times, comparison, verdict)) {
    text += "- " + one + "\n";
  }
  if (!out.empty()) {
    std::vector<charts::Chart> charts = {waterfall_chart(table)};
    if (shown != nullptr) {
      charts.push_back(straggler_chart(times, comparison, verdict));
      charts.push_back(step_chart(times, *shown, verdict));
    }
    const int64_t middle =
        shown != nullptr ? shown->step : times.steps[times.steps.size() / 2].step;
    const MergedTrace trace = merged_trace(times, middle);
    leave_in(out, charts, trace);
    text += "\n";
    for (const charts::Chart& chart : charts) text += out + "/" + chart.name + ".svg\n";
    text += out + "/trace.json";
    if (trace.steps < trace.of_steps) {
      text += " (steps " + std::to_string(trace.first_step) + " to " +
              std::to_string(trace.last_step) +
              " alone: " + std::to_string(trace.of_steps) +
              " are too many for a viewer)";
    }
    text += "\n";
  }
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fflush(stdout) != 0) {
    throw std::runtime_error("cannot write to standard output; is the disk full?");
  }
}

}  // namespace
}  // namespace lockstep::buckets

int main(int argc, char** argv) {
  CLI::App app(
      "Says from the file of `ddp --bucket-times` which rank the others waited for, "
      "and what of each bucket's collective was hidden behind the backward pass.");
  app.name("buckets");
  std::string file, out;
  app.add_option("FILE", file, "the file of `ddp --bucket-times`")->required();
  app.add_option(
      "--out", out,
      "a folder for stragglers, step and waterfall (.svg, .png), and for "
      "trace.json, which is all ranks' for chrome://tracing; none: no files");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "buckets: %s; see buckets --help\n", error.what());
    return 2;
  }
  try {
    lockstep::buckets::report(file, out);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "buckets: %s\n", error.what());
    return 1;
  }
  return 0;
}
