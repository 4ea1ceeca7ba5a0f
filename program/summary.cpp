#include <algorithm>
#include <numeric>

#include "program/formatted.h"
#include "program/progress.h"

namespace lockstep::program {

using namespace training;
namespace {

// The train loss of each epoch: the mean over its samples.
std::string epoch_lines(const TrainReport& report) {
  std::string text;
  size_t step = 0;
  while (step < report.losses.size()) {
    const int64_t epoch = report.epochs[step];
    double loss = 0;
    int64_t samples = 0;
    for (; step < report.losses.size() && report.epochs[step] == epoch; ++step) {
      loss += report.losses[step] * static_cast<double>(report.samples[step]);
      samples += report.samples[step];
    }
    text += formatted("epoch %ld  train loss %.4f  over %ld samples\n",
                      static_cast<long>(epoch + 1), loss / static_cast<double>(samples),
                      static_cast<long>(samples));
  }
  return text;
}

// The mean step after the first `warm`, from one meeting of the ranks to another: a
// median does not see the few steps that meet.
double mean_step_ms(const TrainReport& report, size_t warm, int64_t round) {
  const auto counted = static_cast<size_t>(round);
  const auto before = static_cast<size_t>(report.first_step);
  size_t first = (before + warm + counted - 1) / counted * counted - before;
  if (first >= report.step_ms.size()) first = warm;
  const auto begin = report.step_ms.begin() + static_cast<std::ptrdiff_t>(first);
  return std::accumulate(begin, report.step_ms.end(), 0.0) /
         static_cast<double>(report.step_ms.end() - begin);
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0); }

}  // namespace

std::string summary(const std::string& program, bool has_primary,
                    const TrainOptions& options, const TrainReport& report) {
  const bool emulated = report.device == "cpu";
  std::string text =
      formatted("%s: %s on %s, %zu %s%s x %d thread(s), local batch %ld, %zu steps\n",
                program.c_str(), options.model.c_str(), options.dataset.c_str(),
                report.cards.size(), emulated ? "emulated " : "",
                report.cards.size() == 1 ? "card" : "cards", report.threads_per_card,
                static_cast<long>(options.batch_size), report.losses.size());
  if (report.losses.empty()) return text;
  text += epoch_lines(report);

  // The first tenth, ten steps at most, is warm-up: caches, allocators, the peers'
  // first meeting.
  const size_t warm = std::min<size_t>(10, report.step_ms.size() / 10);
  std::vector<double> steps(report.step_ms.begin() + static_cast<std::ptrdiff_t>(warm),
                            report.step_ms.end());
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  const int64_t round = options.ddp.local_sgd;
  const double step_ms = round > 0 ? mean_step_ms(report, warm, round) : *middle;
  text += formatted("throughput %.0f samples/s   step %s %.2f ms   loss %.4f -> %.4f",
                    1000.0 * static_cast<double>(report.samples.front()) / step_ms,
                    round > 0 ? "mean" : "p50", step_ms, report.losses.front(),
                    report.losses.back());
  if (const auto accuracy = report.accuracy()) {
    text += formatted("   accuracy %.2f %% of %ld", 100.0 * *accuracy,
                      static_cast<long>(report.evaluated));
  }
  text += "\n";
  for (const CardMemory& card : report.cards) {
    text += formatted("card %d%s peak %.2f MiB:", card.card,
                      has_primary && card.card == 0 ? " (primary)" : "",
                      mib(card.peak_bytes));
    for (const auto& [category, bytes] : card.at_peak_bytes) {
      text += formatted(" %s %.2f", category.c_str(), mib(bytes));
    }
    if (card.process_bytes) {
      text += formatted("; its process %.2f by the driver", mib(*card.process_bytes));
    }
    text += "\n";
  }
  for (const std::string& note : report.notes) {
    text += "NOTE: " + note + "\n";
  }
  return text;
}

}  // namespace lockstep::program
