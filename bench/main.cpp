// `bench`: what one card, DataParallel, DDP and Horovod's way cost, side by side.
// Without arguments it is the main job: a sensible sweep on real images. `bench
// collectives` times the process groups' collectives alone; `bench scaling` and `bench
// bucket-sweep` are the paper's experiments, made of the same sweep; `bench predict`
// foretells many cards from one, `bench doctor` tells what the machine is worth.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "bench/bucket_times.h"
#include "bench/command_line.h"
#include "bench/doctor.h"
#include "bench/dry_run.h"
#include "bench/measure.h"
#include "bench/memory.h"
#include "bench/results.h"
#include "bench/step_forecasts.h"
#include "bench/step_lanes.h"
#include "bench/verify.h"
#include "cases/child_run.h"
#include "cases/experiments.h"
#include "cases/machine.h"
#include "files/memory_file.h"
#include "forecast/forecast.h"
#include "launch/process.h"
#include "summary/compare.h"
#include "summary/ratios.h"
#include "summary/table.h"

namespace lockstep::bench {
namespace {

using namespace summary;

void warn(const std::string& text) { std::cerr << "bench: WARNING: " << text << "\n"; }

// Each note once, whatever the repetitions.
void warn_of_notes(const std::vector<rows::Row>& rows) {
  std::set<std::string> said;
  for (const rows::Row& row : rows) {
    for (const std::string& note : row.notes) {
      if (said.insert(row.name + ": " + note).second) warn(row.name + ": " + note);
    }
  }
}

std::map<std::string, std::string> verify_all(const std::vector<Case>& cases,
                                              const Children& children) {
  std::map<std::string, std::string> refused;
  const auto baseline = [&](const Case& one) {
    return is_baseline(one, children.sweep());
  };
  const auto baselines = std::count_if(cases.begin(), cases.end(), baseline);
  const size_t all = cases.size() - static_cast<size_t>(baselines);
  size_t done = 0;
  References references(children);
  for (const Case& one : cases) {
    if (baseline(one)) continue;  // what the others are checked against
    const auto reason = verify(one, children, references);
    std::fprintf(stderr, "verify %zu/%zu  %s  %s\n", ++done, all, one.name().c_str(),
                 reason ? ("ERROR: " + *reason).c_str() : "agrees with one card");
    if (reason) refused.emplace(one.name(), *reason);
  }
  return refused;
}

// `bench --fits`: no timing.
int run_fits(const std::vector<Case>& cases, const BenchLine& line,
             const Children& children) {
  MemoryModel memory(line.sweep, children);
  const std::vector<Fit> fits = find_fits(cases, line.fits_gib, memory, children);
  write_fits(fits, line.fits_gib, line.sweep, line.sweep.out + "/fits.json");
  std::cout << fits_table(fits, line.fits_gib) << std::flush;
  const auto confirmed = [](const Fit& fit) { return fit.why_not.empty(); };
  return std::all_of(fits.begin(), fits.end(), confirmed) ? 0 : 1;
}

// The exit status of --compare.
int verdict(const std::vector<rows::Row>& old_rows, const std::vector<rows::Row>& rows,
            double tolerance) {
  constexpr int kRegression = 3;
  const std::vector<Comparison> comparisons = compare(old_rows, rows, tolerance);
  std::cout << comparison_table(comparisons) << std::flush;
  const auto slower = [](const Comparison& one) { return one.regression; };
  return std::any_of(comparisons.begin(), comparisons.end(), slower) ? kRegression : 0;
}

std::string experiment_table(const std::string& experiment,
                             const std::vector<rows::Row>& rows) {
  if (experiment == cases::kScaling) return scaling_table(rows);
  if (experiment == cases::kBucketSweep) return bucket_table(rows);
  return "";
}

int run(int argc, char** argv) {
  BenchLine line = parse_bench_line({argv + std::min(1, argc), argv + argc});
  if (!line.help.empty()) {
    std::cout << line.help;
    return 0;
  }
  Sweep& sweep = line.sweep;
  for (const std::string& warning : fall_back_to_synthetic(line)) warn(warning);
  // Read before anything is measured, and perhaps written over.
  std::vector<rows::Row> old_rows;
  if (!line.compare.empty()) old_rows = rows_at(line.compare);
  Plan plan;
  plan.cases = cases::cases_of(sweep, cases::cores());
  const Children children(sweep);
  const files::MemoryFile json;
  const GoogleBenchmark benchmark(line.benchmark_flags, json.path());
  plan.cases = left_by_filter(benchmark, plan.cases, sweep.repetitions);
  if (!line.compare.empty()) {
    std::vector<rows::Row> planned;
    for (const Case& one : plan.cases) planned.push_back(planned_row(one, sweep));
    check_comparable(old_rows, planned, sweep.repetitions);
  }
  if (line.predict) StepForecasts::check(plan.cases, sweep);
  check_with_programs(plan.cases, children);
  if (line.dry_run) {
    check_folder(sweep.out);
    std::cout << what_would_run(plan.cases, line, children) << std::flush;
    return 0;
  }
  make_folder(sweep.out);
  for (const std::string& warning : cases::warnings(plan.cases)) warn(warning);

  if (line.fits_gib > 0) return run_fits(plan.cases, line, children);

  plan.refused = verify_all(plan.cases, children);
  std::optional<StepForecasts> forecasts;
  if (line.predict) {
    forecasts.emplace(sweep, children);
    plan.before_round = [&] { forecasts->prepare(plan.cases); };
  }
  std::vector<rows::Row> rows = measure(benchmark, plan, sweep, children);
  if (forecasts) forecasts->add_to(rows, plan.cases);
  const auto ok = [](const rows::Row& row) { return row.status == "ok"; };
  if (std::none_of(rows.begin(), rows.end(), ok)) {
    std::cout << table(rows);
    throw std::runtime_error("no case could be measured; " + sweep.out +
                             " is as it was");
  }
  warn_of_notes(rows);
  if (sweep.memory_timeline) record_timelines(plan, children, rows);
  if (line.step_lanes) record_step_lanes(plan, children, rows);
  if (line.bucket_times) record_bucket_times(plan, sweep, children, rows);
  if (line.predict_memory) {
    MemoryModel memory(sweep, children);
    add_predictions(plan.cases, memory, rows);
  }
  write_rows(rows, sweep.out + "/runs.jsonl");
  finish_json(rows, json.text(), sweep.out + "/results.json");
  std::cout << table(rows) << ratio_table(ratios_of(rows)) << memory_table(rows)
            << driver_memory_table(rows) << step_forecast_table(rows)
            << experiment_table(line.experiment, rows)
            << (line.quick ? quick_note(sweep) : "") << std::flush;
  if (line.page && children.report(sweep.out) != 0) return 1;
  if (!std::cout.good()) {
    throw std::runtime_error("cannot write to standard output; the results are in " +
                             sweep.out);
  }
  if (!std::all_of(rows.begin(), rows.end(), ok)) return 1;
  return line.compare.empty() ? 0 : verdict(old_rows, rows, line.tolerance);
}

// `bench collectives`: a program of its own, whose ranks have LibTorch's process
// groups.
int become_collectives(char** argv) {
  std::string name = "collectives";
  argv[0] = name.data();
  execv(cases::program(name).c_str(), argv);
  throw std::runtime_error("cannot start " + cases::program(name) + ": " +
                           std::strerror(errno) + "; `make build` makes it");
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  lockstep::launch::hold_standard_streams();
  // Whoever reads along may leave (`| head`): what was measured is not lost for it.
  signal(SIGPIPE, SIG_IGN);
  try {
    if (argc > 1 && std::strcmp(argv[1], "collectives") == 0) {
      return lockstep::bench::become_collectives(argv + 1);
    }
    if (argc > 1 && std::strcmp(argv[1], "doctor") == 0) {
      std::cout << lockstep::bench::diagnosis();
      return 0;
    }
    if (argc > 1 && std::strcmp(argv[1], "predict") == 0) {
      return lockstep::forecast::run({argv + 2, argv + argc});
    }
    return lockstep::bench::run(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::cerr << "bench: " << error.what() << "; see --help\n";
    return 2;
  } catch (const std::invalid_argument& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 2;
  } catch (const lockstep::Stopped& stopped) {
    std::cerr << "bench: " << stopped.what() << "\n";
    return stopped.status();
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
