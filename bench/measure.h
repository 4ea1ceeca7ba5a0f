// The timed runs, as Google Benchmark's benchmarks: one iteration is one whole run in
// child processes, its manual time the median step. (Its adaptive iteration counts
// would leave ranks disagreeing.) Every case's first repetition comes before any one's
// second, so that a machine which slows down slows all of them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cases/child_run.h"
#include "cases/sweep.h"
#include "rows/row.h"

namespace lockstep::bench {

struct Plan {
  std::vector<Case> cases;
  // Cases that must not be timed, by name, and why.
  std::map<std::string, std::string> refused;
  // Run before each repetition of them all, where there is anything; may throw Stopped
  // and nothing else.
  std::function<void()> before_round{};
};

// Google Benchmark with its own flags, ready to write its JSON to a file. Once a
// process.
class GoogleBenchmark {
 public:
  // Throws std::invalid_argument for a flag that it does not know.
  GoogleBenchmark(const std::vector<std::string>& flags, const std::string& json_path);
  GoogleBenchmark(const GoogleBenchmark&) = delete;
  GoogleBenchmark& operator=(const GoogleBenchmark&) = delete;
  ~GoogleBenchmark();

 private:
  // It keeps a pointer into these (the program's name, for the JSON).
  std::vector<std::string> arguments_;
};

// Those that --benchmark_filter among the flags leaves: nothing is spent on the others.
// Throws std::invalid_argument where it leaves none.
std::vector<Case> left_by_filter(const GoogleBenchmark& benchmark,
                                 const std::vector<Case>& cases, int repetitions);

// Of cases that the filter leaves. Throws Stopped.
std::vector<rows::Row> measure(const GoogleBenchmark& benchmark, const Plan& plan,
                               const Sweep& sweep, const Children& children);

// For each case of ours that has an ok row, runs it once more for what that row is
// still to tell: `what`, which names it in the progress. A case that fails now keeps
// its figures and goes without. Throws Stopped.
void once_more(const Plan& plan, std::vector<rows::Row>& rows, const std::string& what,
               const std::function<void(const Case&, rows::Row&)>& run);

// A few steps once more, and each card's memory over the last of them.
void record_timelines(const Plan& plan, const Children& children,
                      std::vector<rows::Row>& rows);

}  // namespace lockstep::bench
