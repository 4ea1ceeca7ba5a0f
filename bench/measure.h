// The timed runs, as Google Benchmark's benchmarks: one iteration is one whole run in child
// processes, its manual time the median step. (Its adaptive iteration counts would leave ranks
// disagreeing.) Repetitions of all cases are interleaved, so that a machine which slows down
// slows all of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/sweep.h"
#include "reports/row.h"

namespace lockstep::bench {

struct Plan {
  std::vector<Case> cases;
  // Cases that must not be timed, by name, and why.
  std::map<std::string, std::string> refused;
  // Google Benchmark's own flags, passed through.
  std::vector<std::string> benchmark_flags;
  // Where Google Benchmark writes its JSON.
  std::string json_path;
};

// Throws std::invalid_argument for flags that Google Benchmark does not know.
std::vector<reports::Row> measure(const Plan& plan, const Sweep& sweep);

}  // namespace lockstep::bench
