// The largest batch that fits: told by the memory model, then found by running.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bench/memory.h"
#include "cases/machine.h"
#include "files/output_file.h"
#include "predict/largest_batch.h"

namespace lockstep::bench {
namespace {

// The second step has the first one's gradients still.
constexpr int64_t kSteps = 2;
// Of one case: the prediction is at most some samples off.
constexpr int kMostRuns = 24;
constexpr int kMostPredictions = 100;

bool says(const std::exception& error, const char* words) {
  return std::string(error.what()).find(words) != std::string::npos;
}

void find_fit(Fit& fit, double gib, MemoryModel& memory, const Children& children) {
  Case one = fit.one;
  fit.predicted = predict::largest_batch(1, kMostPredictions, [&](int64_t batch) {
    one.local_batch = batch;
    const std::vector<int64_t> peaks = memory.peaks(one);
    return static_cast<double>(*std::max_element(peaks.begin(), peaks.end())) <=
           gib * 1024 * 1024 * 1024;
  });
  const auto runs = [&](int64_t batch) {
    one.local_batch = batch;
    ++fit.runs;
    try {
      children.run(one, {.steps = kSteps, .card_memory_gib = gib});
      return true;
    } catch (const Stopped&) {
      throw;
    } catch (const std::exception& error) {
      if (says(error, "out of memory")) return false;
      const bool beyond = says(error, "held no whole batch") ||
                          says(error, "--batch-size ");  // no program takes so many
      if (!beyond) throw;
      throw std::runtime_error("a local batch of " + std::to_string(batch) +
                               " is more than the data set holds; give --fits less");
    }
  };
  const int64_t guess = std::max<int64_t>(fit.predicted, 1);
  fit.confirmed = predict::largest_batch(guess, kMostRuns, runs);
  if (fit.confirmed == 0) {
    throw std::runtime_error("not even a batch of 1 fits; give --fits more");
  }
}

}  // namespace

std::vector<Fit> find_fits(const std::vector<Case>& cases, double gib,
                           MemoryModel& memory, const Children& children) {
  std::vector<Fit> fits;
  for (const Case& one : cases) {
    // The bound's cards are single ones.
    if (one.in_python() || one.mode == "bound") continue;
    Fit fit{one};
    try {
      find_fit(fit, gib, memory, children);
    } catch (const Stopped&) {
      throw;
    } catch (const std::exception& error) {
      fit.why_not = error.what();
    }
    std::fprintf(stderr, "fits %s  %s\n", one.name().c_str(),
                 fit.why_not.empty() ? std::to_string(fit.confirmed).c_str()
                                     : ("ERROR: " + fit.why_not).c_str());
    fits.push_back(std::move(fit));
  }
  return fits;
}

std::string fits_table(const std::vector<Fit>& fits, double gib) {
  char line[200];
  std::snprintf(line, sizeof(line),
                "largest local batch in cards of %-8g GiB  predicted confirmed runs\n",
                gib);
  std::string text = line;
  for (const Fit& fit : fits) {
    std::snprintf(line, sizeof(line), "%-44s %9ld ", fit.one.name().c_str(),
                  static_cast<long>(fit.predicted));
    text += line;
    std::snprintf(line, sizeof(line), "%9ld %4d", static_cast<long>(fit.confirmed),
                  fit.runs);
    text += (fit.why_not.empty() ? line : "error: " + fit.why_not) + "\n";
  }
  return text;
}

void write_fits(const std::vector<Fit>& fits, double gib, const Sweep& sweep,
                const std::string& path) {
  nlohmann::ordered_json json = {{"schema", 1},
                                 {"card_memory_gib", gib},
                                 {"date", cases::utc_now()},
                                 {"commit", cases::current_commit()},
                                 {"cpu", cases::this_machine().cpu},
                                 {"device", sweep.device},
                                 {"precision", sweep.precision},
                                 {"threads_per_card", sweep.threads_per_card},
                                 {"cases", nlohmann::ordered_json::array()}};
  for (const Fit& fit : fits) {
    nlohmann::ordered_json entry = {{"name", fit.one.name()},
                                    {"predicted_batch", fit.predicted},
                                    {"runs", fit.runs}};
    if (fit.why_not.empty()) entry["confirmed_batch"] = fit.confirmed;
    if (!fit.why_not.empty()) entry["error"] = fit.why_not;
    json["cases"].push_back(std::move(entry));
  }
  files::write_whole(json.dump(2) + "\n", path);
}

}  // namespace lockstep::bench
