// `bench`: what one card, DataParallel and DDP cost, side by side. Without arguments it is
// the main job: a sensible sweep on real images.
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "bench/command_line.h"
#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/results.h"
#include "bench/table.h"
#include "bench/verify.h"
#include "data/data_folder.h"
#include "launch/process.h"
#include "training/catalog.h"
#include "training/report.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

// Real images where they are; without them, and when nobody asked for these very ones, loudly
// the synthetic ones.
void choose_dataset(BenchLine& line) {
  if (line.dataset_given) return;
  try {
    data::find_idx_files(line.sweep.dataset, line.sweep.data_dir);
  } catch (const std::runtime_error& missing) {
    line.sweep.dataset = "synthetic";
    std::cerr << "bench: WARNING: no real images: " << missing.what()
              << "\nbench: WARNING: measuring with SYNTHETIC images instead\n";
  }
}

void check_names(const Sweep& sweep) {
  for (const std::string& model : sweep.models) training::models().at(model);
  training::datasets().at(sweep.dataset);
}

std::map<std::string, std::string> verify_all(const std::vector<Case>& cases,
                                              const Sweep& sweep) {
  std::map<std::string, std::string> refused;
  size_t done = 0;
  for (const Case& one : cases) {
    ++done;
    if (one.mode == "single") continue;  // what the others are checked against
    const auto reason = verify(one, sweep);
    std::fprintf(stderr, "verify %zu/%zu  %s  %s\n", done, cases.size(), one.name().c_str(),
                 reason ? ("ERROR: " + *reason).c_str() : "agrees with one card");
    if (reason) refused.emplace(one.name(), *reason);
  }
  return refused;
}

int make_report(const std::string& out) {
  launch::Command command;
  command.argv = {(fs::read_symlink("/proc/self/exe").parent_path() / "report").string(),
                  "--in", out, "--out", out};
  return launch::Process(command).wait().code;
}

int run(int argc, char** argv) {
  BenchLine line = parse_bench_line({argv + std::min(1, argc), argv + argc});
  if (!line.help.empty()) {
    std::cout << line.help;
    return 0;
  }
  Sweep& sweep = line.sweep;
  check_names(sweep);
  choose_dataset(line);
  Plan plan;
  plan.cases = cases_of(sweep, cores());
  plan.benchmark_flags = line.benchmark_flags;
  std::error_code failed;
  fs::create_directories(sweep.out, failed);
  training::check_writable(sweep.out + "/runs.jsonl", "--out");

  for (const std::string& warning : warnings(plan.cases)) {
    std::cerr << "bench: WARNING: " << warning << "\n";
  }
  plan.refused = verify_all(plan.cases, sweep);
  plan.json_path = sweep.out + "/results.json.tmp-" + std::to_string(getpid());
  const std::vector<reports::Row> rows = measure(plan, sweep);
  write_rows(rows, sweep.out + "/runs.jsonl");
  finish_json(rows, plan.json_path, sweep.out + "/results.json");
  std::cout << table(rows) << std::flush;

  const auto ok = [](const reports::Row& row) { return row.status == "ok"; };
  const bool any_ok = std::any_of(rows.begin(), rows.end(), ok);
  if (any_ok && make_report(sweep.out) != 0) return 1;
  return std::all_of(rows.begin(), rows.end(), ok) ? 0 : 1;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  try {
    return lockstep::bench::run(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::cerr << "bench: " << error.what() << "; see --help\n";
    return 2;
  } catch (const std::invalid_argument& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
