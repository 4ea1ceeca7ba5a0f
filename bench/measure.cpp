#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <optional>
#include <ostream>
#include <stdexcept>

#include "bench/machine.h"
#include "bench/results.h"

namespace lockstep::bench {
namespace {

using reports::Row;

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
  set("samples_per_second", reports::samples_per_second(row));
  set("step_p50_ms", reports::percentile_ms(row, 50));
  set("step_p95_ms", reports::percentile_ms(row, 95));
  for (const char* phase :
       {"data", "forward", "backward", "exposed_comm", "optimizer", "comm"}) {
    set(std::string(phase) + "_ms", reports::mean_phase_ms(row, phase));
  }
  for (const reports::CardRow& card : row.memory) {
    set("card" + std::to_string(card.card) + "_peak_bytes",
        static_cast<double>(card.peak_bytes));
  }
  set("memory_imbalance", reports::memory_imbalance(row));
  set("cards", row.cards);
  set("threads_per_card", row.threads_per_card);
  set("local_batch", static_cast<double>(row.local_batch));
  set("global_batch", static_cast<double>(row.global_batch));
  if (!row.losses.empty()) set("loss", row.losses.back());
}

class Measurements {
 public:
  Measurements(const Plan& plan, const Sweep& sweep, const Children& children)
      : plan_(plan),
        sweep_(sweep),
        children_(children),
        total_((plan.cases.size() - plan.refused.size()) *
               static_cast<size_t>(sweep.repetitions)),
        stamp_{this_machine(), current_commit(), utc_now()} {}

  void run(benchmark::State& state, const Case& one) {
    if (stopped_.has_value()) {
      state.SkipWithError(stopped_->what());
      return;
    }
    const auto refused = plan_.refused.find(one.name());
    if (refused != plan_.refused.end()) {
      if (repetitions_[one.name()]++ == 0) {
        rows_.push_back(error_row(one, sweep_, stamp_, 0, refused->second));
      }
      state.SkipWithError(refused->second.c_str());
      return;
    }
    for ([[maybe_unused]] auto _ : state) {
      const int repetition = repetitions_[one.name()]++;
      Row row;
      try {
        const TrainReport report =
            children_.run(one, {.steps = sweep_.warmup + sweep_.steps});
        row = result_row(one, sweep_, stamp_, repetition, report);
        state.SetIterationTime(reports::percentile_ms(row, 50).value_or(0) / 1000);
      } catch (const Stopped& stopped) {
        stopped_ = stopped;  // not through Google Benchmark: the rest is skipped
        state.SkipWithError(stopped.what());
        break;
      } catch (const std::exception& error) {
        row = error_row(one, sweep_, stamp_, repetition, error.what());
        state.SkipWithError(row.message.c_str());
      }
      tell(row);
      rows_.push_back(row);
    }
    if (!stopped_ && !rows_.empty() && rows_.back().status == "ok") {
      set_counters(state, rows_.back());
    }
  }

  std::vector<Row> take_rows() {
    if (stopped_.has_value()) throw *stopped_;
    return std::move(rows_);
  }

 private:
  void tell(const Row& row) {
    ++done_;
    if (row.status == "ok") {
      std::fprintf(stderr, "run %zu/%zu  %s  %.0f samples/s\n", done_, total_,
                   row.name.c_str(), reports::samples_per_second(row).value_or(0));
    } else {
      std::fprintf(stderr, "run %zu/%zu  %s  ERROR: %s\n", done_, total_,
                   row.name.c_str(), row.message.c_str());
    }
  }

  const Plan& plan_;
  const Sweep& sweep_;
  const Children& children_;
  std::optional<Stopped> stopped_;
  size_t total_;
  Stamp stamp_;
  size_t done_ = 0;
  std::map<std::string, int> repetitions_;  // taken so far, by case
  std::vector<Row> rows_;
};

}  // namespace

GoogleBenchmark::GoogleBenchmark(const std::vector<std::string>& flags,
                                 const std::string& json_path)
    : arguments_({"bench", "--benchmark_out=" + json_path,
                  "--benchmark_out_format=json",
                  "--benchmark_enable_random_interleaving=true"}) {
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

std::vector<Row> measure(const GoogleBenchmark& /*benchmark*/, const Plan& plan,
                         const Sweep& sweep, const Children& children) {
  benchmark::AddCustomContext("lockstep_build_type", this_machine().build);
  benchmark::AddCustomContext("lockstep_commit", current_commit());
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
  if (benchmark::RunSpecifiedBenchmarks(&silent) == 0) {
    throw std::invalid_argument(
        "--benchmark_filter " + benchmark::GetBenchmarkFilter() +
        " leaves no case; their names are like " + plan.cases.front().name());
  }
  return measurements.take_rows();
}

}  // namespace lockstep::bench
