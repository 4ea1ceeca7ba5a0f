#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <optional>
#include <ostream>
#include <queue>
#include <regex>
#include <set>
#include <stdexcept>

#include "bench/results.h"
#include "cases/machine.h"

namespace lockstep::bench {
namespace {

using rows::Row;

// Google Benchmark's console would call its library a debug build and print its own
// columns; our table comes at the end.
class SilentReporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& /*context*/) override { return true; }
  void ReportRuns(const std::vector<Run>& /*runs*/) override {}

  SilentReporter() { SetErrorStream(&nowhere_); }

 private:
  std::ostream nowhere_{nullptr};
};

void set_counters(benchmark::State& state, const Row& row) {
  // A counter that is always 0 (one card's communication) would get a coefficient of
  // variation of 0/0, which Google Benchmark writes as NaN, which is not JSON.
  const auto set = [&](const std::string& name, std::optional<double> value) {
    if (value.has_value() && std::isfinite(*value) && *value != 0) {
      state.counters[name] = *value;
    }
  };
  set("samples_per_second", rows::samples_per_second(row));
  set("step_p50_ms", rows::percentile_ms(row, 50));
  set("step_p95_ms", rows::percentile_ms(row, 95));
  for (const char* phase :
       {"data", "forward", "backward", "exposed_comm", "optimizer", "graph", "comm"}) {
    set(std::string(phase) + "_ms", rows::mean_phase_ms(row, phase));
  }
  for (const rows::CardRow& card : row.memory) {
    set("card" + std::to_string(card.card) + "_peak_bytes",
        static_cast<double>(card.peak_bytes));
  }
  set("memory_imbalance", rows::memory_imbalance(row));
  set("cards", row.cards);
  set("threads_per_card", row.threads_per_card);
  set("local_batch", static_cast<double>(row.local_batch));
  set("global_batch", static_cast<double>(row.global_batch));
  if (!row.losses.empty()) set("loss", row.losses.back());
}

// What --benchmark_filter leaves, as Google Benchmark 1.7 reads it: an expression that
// is found somewhere in the name, or after a hyphen is not.
class Filter {
 public:
  explicit Filter(std::string expression)
      : negative_(!expression.empty() && expression[0] == '-') {
    if (negative_) expression.erase(0, 1);
    if (expression.empty() || expression == "all") expression = ".";
    try {
      expression_ = std::regex(expression, std::regex::extended);
    } catch (const std::regex_error& error) {
      throw std::invalid_argument("--benchmark_filter " + expression + ": " +
                                  error.what());
    }
  }
  bool leaves(const Case& one, int repetitions) const {
    const std::string name = one.name() +
                             "/iterations:1/repeats:" + std::to_string(repetitions) +
                             "/manual_time";
    return std::regex_search(name, expression_) != negative_;
  }

 private:
  bool negative_;
  std::regex expression_;
};

// Note [Repetitions go round the cases]
// A ratio compares repetition k of one case with repetition k of another, so the two
// must run soon after each other. Google Benchmark can only run a case's repetitions
// one after the other, or all cases' shuffled. So whenever it asks for a repetition
// that was not yet run, that repetition of every case is run, and the others' wait for
// their turn. Every other round goes backwards: who comes after whom must not matter.
class Measurements {
 public:
  Measurements(const Plan& plan, const Sweep& sweep, const Children& children)
      : sweep_(sweep),
        children_(children),
        refused_(plan.refused),
        before_round_(plan.before_round),
        stamp_{cases::this_machine(), cases::current_commit(), cases::utc_now()} {
    for (const Case& one : plan.cases) {
      if (refused_.count(one.name()) == 0) cases_.push_back(one);
    }
  }

  void run(benchmark::State& state, const Case& one) {
    const auto refused = refused_.find(one.name());
    if (!stopped_ && refused != refused_.end()) {
      if (told_.insert(one.name()).second) {
        rows_.push_back(error_row(one, sweep_, stamp_, 0, refused->second));
      }
      state.SkipWithError(refused->second.c_str());
      return;
    }
    std::queue<Row>& waiting = waiting_[one.name()];
    if (!stopped_ && waiting.empty()) run_round();
    if (stopped_ || waiting.empty()) {
      state.SkipWithError(stopped_ ? stopped_->what() : "the filter left it out");
      return;
    }
    const Row row = waiting.front();
    waiting.pop();
    for ([[maybe_unused]] auto _ : state) {
      if (row.status != "ok") {
        state.SkipWithError(row.message.c_str());
        break;
      }
      state.SetIterationTime(rows::step_ms_of(row).value_or(0) / 1000);
    }
    if (row.status == "ok") set_counters(state, row);
  }

  std::vector<Row> take_rows() {
    if (stopped_.has_value()) throw *stopped_;
    return std::move(rows_);
  }

 private:
  void run_round() {
    std::vector<Case> order = cases_;
    if (rounds_ % 2 == 1) std::reverse(order.begin(), order.end());
    try {
      if (before_round_) before_round_();
    } catch (const Stopped& stopped) {
      stopped_ = stopped;
      return;
    }
    for (const Case& one : order) {
      Row row;
      try {
        const TrainReport report =
            children_.run(one, {.steps = sweep_.warmup + sweep_.steps});
        row = result_row(one, sweep_, stamp_, rounds_, report);
      } catch (const Stopped& stopped) {
        stopped_ = stopped;  // not through Google Benchmark: the rest is skipped
        return;
      } catch (const std::exception& error) {
        row = error_row(one, sweep_, stamp_, rounds_, error.what());
      }
      tell(row);
      waiting_[one.name()].push(row);
      rows_.push_back(std::move(row));
    }
    ++rounds_;
  }

  void tell(const Row& row) const {
    const size_t all = cases_.size() * static_cast<size_t>(sweep_.repetitions);
    const size_t done = rows_.size() + 1 - told_.size();
    if (row.status == "ok") {
      std::fprintf(stderr, "run %zu/%zu  %s  %.0f samples/s\n", done, all,
                   row.name.c_str(), rows::samples_per_second(row).value_or(0));
    } else {
      std::fprintf(stderr, "run %zu/%zu  %s  ERROR: %s\n", done, all, row.name.c_str(),
                   row.message.c_str());
    }
  }

  const Sweep& sweep_;
  const Children& children_;
  const std::map<std::string, std::string>& refused_;
  const std::function<void()>& before_round_;
  Stamp stamp_;
  std::vector<Case> cases_;  // those that are timed
  int rounds_ = 0;
  std::map<std::string, std::queue<Row>> waiting_;  // by case
  std::set<std::string> told_;                      // refused cases that have their row
  std::vector<Row> rows_;
  std::optional<Stopped> stopped_;
};

}  // namespace

GoogleBenchmark::GoogleBenchmark(const std::vector<std::string>& flags,
                                 const std::string& json_path)
    : arguments_(
          {"bench", "--benchmark_out=" + json_path, "--benchmark_out_format=json"}) {
  arguments_.insert(arguments_.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments_) argv.push_back(argument.data());
  int argc = static_cast<int>(argv.size());
  benchmark::Initialize(&argc, argv.data());
  if (argc > 1) {
    throw std::invalid_argument(
        std::string(argv[1]) + ": Google Benchmark has no such flag; see bench --help");
  }
}

GoogleBenchmark::~GoogleBenchmark() { benchmark::Shutdown(); }

std::vector<Case> left_by_filter(const GoogleBenchmark& /*benchmark*/,
                                 const std::vector<Case>& cases, int repetitions) {
  const Filter filter(benchmark::GetBenchmarkFilter());
  std::vector<Case> left;
  for (const Case& one : cases) {
    if (filter.leaves(one, repetitions)) left.push_back(one);
  }
  if (left.empty()) {
    throw std::invalid_argument(
        "--benchmark_filter " + benchmark::GetBenchmarkFilter() +
        " leaves no case; their names are like " + cases.front().name());
  }
  return left;
}

std::vector<Row> measure(const GoogleBenchmark& /*benchmark*/, const Plan& plan,
                         const Sweep& sweep, const Children& children) {
  benchmark::AddCustomContext("lockstep_build_type", cases::this_machine().build);
  benchmark::AddCustomContext("lockstep_commit", cases::current_commit());
  Measurements measurements(plan, sweep, children);
  for (const Case& one : plan.cases) {
    benchmark::RegisterBenchmark(
        one.name().c_str(),
        [&measurements, one](benchmark::State& state) { measurements.run(state, one); })
        ->Iterations(1)
        ->UseManualTime()
        ->Repetitions(sweep.repetitions)
        ->Unit(benchmark::kMicrosecond);
  }
  SilentReporter silent;
  benchmark::RunSpecifiedBenchmarks(&silent);
  return measurements.take_rows();
}

void once_more(const Plan& plan, std::vector<Row>& rows, const std::string& what,
               const std::function<void(const Case&, Row&)>& run) {
  for (const Case& one : plan.cases) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& each) {
      return each.name == one.name() && each.status == "ok";
    });
    if (!one.ours() || row == rows.end()) continue;
    try {
      run(one, *row);
      std::fprintf(stderr, "%s  %s\n", what.c_str(), one.name().c_str());
    } catch (const Stopped&) {
      throw;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s  %s  ERROR: %s\n", what.c_str(), one.name().c_str(),
                   error.what());
    }
  }
}

void record_timelines(const Plan& plan, const Children& children,
                      std::vector<Row>& rows) {
  constexpr int64_t kSteps = 3;  // the last is recorded, in memory that was used before
  once_more(plan, rows, "memory timeline", [&](const Case& one, Row& row) {
    add_timelines(row, children.run(one, {.steps = kSteps, .memory_timeline = true}));
  });
}

}  // namespace lockstep::bench
