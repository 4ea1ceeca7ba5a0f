#include "bench/memory.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "predict/memory.h"

namespace lockstep::bench {
namespace {

using reports::Row;

// Steps of a profile run: the last one is recorded, and the first is unlike the others.
constexpr int64_t kProfileSteps = 3;
// Kernels take another way with the smallest batches; so many pairs are tried, each
// twice as large.
constexpr int kPairs = 5;

predict::StepProfile profile_of(const TrainReport& report, int64_t batch) {
  if (report.cards.empty() || !report.cards.front().timeline) {
    throw std::runtime_error("a run of one card told no memory over time");
  }
  const training::MemoryTimeline& timeline = *report.cards.front().timeline;
  predict::StepProfile profile{batch, {}};
  for (size_t i = 0; i < timeline.bytes.size(); ++i) {
    profile.events.push_back(
        {timeline.categories.at(static_cast<size_t>(timeline.category[i])),
         timeline.stages.at(static_cast<size_t>(timeline.stage[i])),
         timeline.bytes[i]});
  }
  return profile;
}

// As training/catalog.cpp resolves the backend of one machine, and ddp/bucket.cpp
// chooses the bucket.
predict::DdpGradients gradients_of(const Case& one, const Sweep& sweep) {
  using predict::DdpGradients;
  if (one.mode == "ddp-sharded") return DdpGradients::sharded;
  const std::string reducer = one.mode == "ddp-c10d" ? "c10d" : sweep.reducer;
  if (reducer == "naive") return DdpGradients::in_place;
  if (reducer == "flat") return DdpGradients::flat;
  const bool shm =
      sweep.backend == "shm" || (sweep.backend == "auto" && sweep.device == "cpu");
  return reducer == "bucketed" && shm ? DdpGradients::in_place : DdpGradients::buckets;
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
      one.loop() == "ddp"
          ? predict::ddp_peak(step, gradients_of(one, sweep), one.local_batch)
          : predict::single_peak(step, one.local_batch);
  return std::vector<predict::CardPeak>(static_cast<size_t>(one.cards), each);
}

// In percent of what was measured.
double difference(const reports::CardRow& card) {
  return 100.0 * static_cast<double>(*card.predicted_peak_bytes - card.peak_bytes) /
         static_cast<double>(card.peak_bytes);
}

}  // namespace

// From 4 and 8 samples up; for a sweep of so few from 1 and 2.
const predict::StepMemory& MemoryModel::step_of(const Case& one) {
  const auto known = steps_.find(one.model);
  if (known != steps_.end()) return known->second;
  const auto profile = [&](int64_t batch) {
    const Case single{"single", one.model, 1, one.threads_per_card, batch};
    const RunPlan plan{.steps = kProfileSteps, .memory_timeline = true};
    return profile_of(children_.run(single, plan), batch);
  };
  int64_t batch = sweep_.batch_size > 4 ? 4 : 1;
  predict::StepProfile small = profile(batch);
  for (int pair = 0;; ++pair, batch *= 2) {
    predict::StepProfile large = profile(2 * batch);
    try {
      return steps_.emplace(one.model, predict::StepMemory(small, large)).first->second;
    } catch (const std::invalid_argument& differ) {
      if (pair + 1 == kPairs) throw std::runtime_error(differ.what());
    }
    small = std::move(large);
  }
}

std::vector<int64_t> MemoryModel::peaks(const Case& one) {
  if (one.in_python()) return {};
  std::vector<int64_t> peaks;
  for (const predict::CardPeak& card : cards_of(one, sweep_, step_of(one))) {
    peaks.push_back(card.bytes);
  }
  return peaks;
}

PredictedPeaks predict_all(const std::vector<Case>& cases, MemoryModel& memory) {
  PredictedPeaks peaks;
  std::vector<std::string> without;
  for (const Case& one : cases) {
    if (std::count(without.begin(), without.end(), one.model) > 0) continue;
    try {
      peaks.emplace(one.name(), memory.peaks(one));
    } catch (const Stopped&) {
      throw;
    } catch (const std::exception& error) {
      without.push_back(one.model);
      std::fprintf(stderr, "bench: WARNING: no memory is predicted for %s: %s\n",
                   one.model.c_str(), error.what());
    }
  }
  return peaks;
}

void add_predictions(const PredictedPeaks& peaks, std::vector<Row>& rows) {
  for (Row& row : rows) {
    const auto found = peaks.find(row.name);
    if (found == peaks.end() || found->second.size() != row.memory.size()) continue;
    for (size_t card = 0; card < row.memory.size(); ++card) {
      row.memory[card].predicted_peak_bytes = found->second[card];
    }
  }
}

std::string memory_line(std::string name, const std::string& figures) {
  constexpr size_t kWidth = 46;
  if (name.size() < kWidth) name.resize(kWidth, ' ');
  return name + " " + figures + "\n";
}

std::string memory_table(const std::vector<Row>& rows) {
  // Of a card's repetitions the one that is farthest from what was predicted.
  std::vector<std::pair<std::string, const reports::CardRow*>> cards;
  for (const Row& row : rows) {
    for (const reports::CardRow& card : row.memory) {
      if (!card.predicted_peak_bytes || card.peak_bytes == 0) continue;
      const auto same = std::find_if(cards.begin(), cards.end(), [&](const auto& seen) {
        return seen.first == row.name && seen.second->card == card.card;
      });
      if (same == cards.end()) {
        cards.emplace_back(row.name, &card);
      } else if (std::abs(difference(card)) > std::abs(difference(*same->second))) {
        same->second = &card;
      }
    }
  }
  if (cards.empty()) return "";
  std::string text =
      memory_line("peak memory", "card predicted MiB measured MiB    off %");
  for (const auto& [name, card] : cards) {
    constexpr double kMiB = 1024.0 * 1024.0;
    char figures[96];
    std::snprintf(figures, sizeof(figures), "%4d %13.3f %12.3f %+8.3f", card->card,
                  static_cast<double>(*card->predicted_peak_bytes) / kMiB,
                  static_cast<double>(card->peak_bytes) / kMiB, difference(*card));
    text += memory_line(name, figures);
  }
  return text;
}

}  // namespace lockstep::bench
