// The command line of `bench`.
#pragma once

#include <string>
#include <vector>

#include "cases/sweep.h"

namespace lockstep::bench {

struct BenchLine {
  Sweep sweep;
  std::string experiment;                    // cases/experiments.h; empty: none
  bool dry_run = false;                      // tells what would run, and runs nothing
  bool quick = false;                        // a short trial: few steps, once
  std::vector<std::string> benchmark_flags;  // --benchmark_...: Google Benchmark's own
  bool dataset_given = false;
  bool page = true;
  bool step_lanes = false;
  bool bucket_times = false;
  bool predict_memory = false;
  bool predict = false;     // each case's step
  std::string compare;      // an older run's folder or rows; empty: none
  double tolerance = 0.05;  // of a case's change against it
  double fits_gib = 0;      // not 0: no timing, but the largest batches
  std::string help;         // not empty: print it and leave
};

// Throws CLI::ParseError or std::invalid_argument.
BenchLine parse_bench_line(const std::vector<std::string>& arguments);

// Of --quick, for whoever reads the table.
std::string quick_note(const Sweep& sweep);

// Where the real images are missing and nobody asked for these very ones, turns to
// synthetic ones and returns what to tell about it, loudly.
std::vector<std::string> fall_back_to_synthetic(BenchLine& line);

}  // namespace lockstep::bench
