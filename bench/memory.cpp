#include "bench/memory.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <stdexcept>

#include "forecast/memory_profile.h"
#include "predict/memory.h"

namespace lockstep::bench {
namespace {

using rows::Row;

// As training/catalog.cpp resolves the backend of one machine, and ddp/bucket.cpp
// chooses the bucket.
predict::DdpGradients gradients_of(const Case& one, const Sweep& sweep) {
  using predict::DdpGradients;
  if (one.mode == "ddp-sharded") return DdpGradients::sharded;
  // Its fusion buffer, where all of them go in at once; add_predictions().
  if (one.loop() == "horovod") return DdpGradients::flat;
  const DdpWay& way = one.ddp;
  if (way.reducer == "naive") return DdpGradients::in_place;
  if (way.reducer == "flat") return DdpGradients::flat;
  const bool shm =
      way.backend == "shm" || (way.backend == "auto" && sweep.device == "cpu");
  return way.reducer == "bucketed" && shm ? DdpGradients::in_place
                                          : DdpGradients::buckets;
}

std::vector<predict::CardPeak> cards_of(const Case& one, const Sweep& sweep,
                                        const predict::StepMemory& step) {
  if (one.loop() == "dp") {
    return predict::data_parallel_peaks(step,
                                        {.tree = one.dp.reduce == "tree",
                                         .loss_in_replicas = one.dp.loss == "replica",
                                         .primary_share = one.dp.primary_share},
                                        one.cards, one.local_batch);
  }
  const predict::CardPeak each =
      one.has_ranks()
          ? predict::ddp_peak(step, gradients_of(one, sweep), one.local_batch)
          : predict::single_peak(step, one.local_batch);
  return std::vector<predict::CardPeak>(static_cast<size_t>(one.cards), each);
}

}  // namespace

const predict::StepMemory& MemoryModel::step_of(const Case& one) {
  const auto known = steps_.find(one.model);
  if (known != steps_.end()) return known->second;
  return steps_.emplace(one.model, forecast::profile_memory(one, sweep_, children_))
      .first->second;
}

std::vector<int64_t> MemoryModel::peaks(const Case& one) {
  if (one.in_python()) return {};
  std::vector<int64_t> peaks;
  for (const predict::CardPeak& card : cards_of(one, sweep_, step_of(one))) {
    peaks.push_back(card.bytes);
  }
  return peaks;
}

void add_predictions(const std::vector<Case>& cases, MemoryModel& memory,
                     std::vector<Row>& rows) {
  std::set<std::string> without;  // models
  for (const Case& one : cases) {
    if (without.count(one.model) > 0) continue;
    // How large its fusion buffer becomes is the moment's.
    if (one.loop() == "horovod") continue;
    try {
      const std::vector<int64_t> peaks = memory.peaks(one);
      for (Row& row : rows) {
        if (row.name != one.name() || row.memory.size() != peaks.size()) continue;
        for (size_t i = 0; i < peaks.size(); ++i) {
          row.memory[i].predicted_peak_bytes = peaks[i];
        }
      }
    } catch (const Stopped&) {
      throw;
    } catch (const std::exception& error) {
      without.insert(one.model);
      std::fprintf(stderr, "bench: WARNING: no memory is predicted for %s: %s\n",
                   one.model.c_str(), error.what());
    }
  }
}

std::string memory_table(const std::vector<Row>& rows) {
  std::string text;
  std::set<std::pair<std::string, int>> told;
  for (const Row& first : rows) {
    for (const rows::CardRow& card : first.memory) {
      if (!card.predicted_peak_bytes || !told.emplace(first.name, card.card).second) {
        continue;
      }
      int64_t measured = card.peak_bytes;  // in the repetition that is farthest off
      for (const Row& row : rows) {
        if (row.name != first.name || row.status != "ok") continue;
        const int64_t peak = row.memory.at(static_cast<size_t>(card.card)).peak_bytes;
        const auto off = [&](int64_t one) {
          return std::abs(*card.predicted_peak_bytes - one);
        };
        if (off(peak) > off(measured)) measured = peak;
      }
      constexpr double kMiB = 1024.0 * 1024.0;
      const double mib = static_cast<double>(measured) / kMiB;
      const double predicted = static_cast<double>(*card.predicted_peak_bytes) / kMiB;
      char line[200];
      std::snprintf(line, sizeof(line), "%-46s %4d %13.3f %12.3f %+8.3f\n",
                    first.name.c_str(), card.card, predicted, mib,
                    100 * (predicted - mib) / mib);
      text += line;
    }
  }
  if (text.empty()) return text;
  return "peak memory" + std::string(36, ' ') +
         "card predicted MiB measured MiB    off %\n" + text;
}

}  // namespace lockstep::bench
