// A made-up sweep for the tests of this room and of those that read rows: round
// numbers, so that a test can say what must come out. Not a measurement, and nothing
// but tests includes it.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "rows/row.h"

namespace lockstep::rows {

inline constexpr int64_t kSampleMiB = 1024 * 1024;

// One card's peak: the primary card of DataParallel holds the gathered outputs and the
// whole batch on top of what every card holds.
inline CardRow sample_card(const std::string& mode, int card, int cards) {
  CardRow row;
  row.card = card;
  row.at_peak_bytes = {{"gradients", 2 * kSampleMiB}, {"activations", 6 * kSampleMiB}};
  if (mode == "dp" && card > 0) {
    row.at_peak_bytes["replicas"] = 2 * kSampleMiB;
  } else {
    row.at_peak_bytes["parameters"] = 2 * kSampleMiB;
    row.at_peak_bytes["optimizer_state"] = 2 * kSampleMiB;
  }
  row.at_peak_bytes["input"] =
      mode == "dp" && card == 0 ? cards * kSampleMiB : kSampleMiB;
  if (mode == "dp" && card == 0)
    row.at_peak_bytes["gathered_outputs"] = cards * kSampleMiB;
  if (mode == "ddp") row.at_peak_bytes["buckets"] = 2 * kSampleMiB;
  for (const auto& [category, bytes] : row.at_peak_bytes) row.peak_bytes += bytes;
  return row;
}

// 2 warm-up steps far off, then 9 of `step_ms`.
inline Row sample_row(const std::string& mode, const std::string& model, int cards,
                      double step_ms, int repetition = 0) {
  Row row;
  row.name = mode + "/" + model + "/cards:" + std::to_string(cards);
  row.repetition = repetition;
  row.status = "ok";
  row.flags = {"emulated"};
  row.date = "2026-01-02T03:04:05Z";
  row.commit = "0123abcd";
  row.machine = {"Example CPU 9000", 2,        int64_t{8} << 30,
                 "Debian 12",        "2.11.0", "Release"};
  row.mode = mode;
  row.model = model;
  row.dataset = "fashion-mnist";
  row.device = "cpu";
  row.scaling = "weak";
  row.cards = cards;
  row.local_batch = 64;
  row.global_batch = 64 * cards;
  row.warmup_steps = 2;
  row.step_ms.assign(11, step_ms);
  row.step_ms[0] = row.step_ms[1] = 100 * step_ms;
  const double exposed = cards == 1 ? 0 : mode == "dp" ? 0.4 : 0.1;
  row.phases_ms["data"] = std::vector<double>(11, 0.05 * step_ms);
  row.phases_ms["forward"] = std::vector<double>(11, 0.3 * step_ms);
  row.phases_ms["backward"] = std::vector<double>(11, (0.55 - exposed) * step_ms);
  row.phases_ms["exposed_comm"] = std::vector<double>(11, exposed * step_ms);
  row.phases_ms["optimizer"] = std::vector<double>(11, 0.1 * step_ms);
  for (int i = 0; i < 11; ++i) row.losses.push_back(2.3 * std::exp(-0.1 * i * cards));
  for (int card = 0; card < cards; ++card) {
    row.memory.push_back(sample_card(mode, card, cards));
  }
  return row;
}

// single, dp and ddp on 1, 2 and 4 cards, 3 repetitions of 9, 10 and 11 tenths of the
// step time.
inline std::vector<Row> sample_sweep(const std::string& model, double step_ms) {
  std::vector<Row> rows;
  for (int repetition = 0; repetition < 3; ++repetition) {
    const double noisy = step_ms * (0.9 + 0.1 * repetition);
    rows.push_back(sample_row("single", model, 1, noisy, repetition));
    for (int cards : {1, 2, 4}) {
      // dp's step grows with the cards until more cards bring nothing; ddp loses a
      // tenth.
      rows.push_back(
          sample_row("dp", model, cards, noisy * (0.4 + 0.6 * cards), repetition));
      rows.push_back(
          sample_row("ddp", model, cards, noisy * (cards > 1 ? 1.1 : 1.0), repetition));
    }
  }
  return rows;
}

// A step of 10 ms of every card of the row: to the peak in the middle of it, and back.
inline void add_sample_timelines(Row& row) {
  for (CardRow& card : row.memory) {
    TimelineRow line;
    line.stages = {"before", "forward", "backward", "optimizer"};
    const auto add = [&line](double ms, int category, int stage, int64_t bytes) {
      line.ms.push_back(ms);
      line.category.push_back(category);
      line.stage.push_back(stage);
      line.bytes.push_back(bytes);
    };
    for (const auto& [category, bytes] : card.at_peak_bytes) {
      line.categories.push_back(category);
    }
    const auto count = static_cast<int>(line.categories.size());
    const auto bytes_of = [&](int i) {
      return card.at_peak_bytes.at(line.categories[static_cast<size_t>(i)]);
    };
    for (int i = 1; i < count; ++i) add(0, i, 0, bytes_of(i));  // all but activations
    add(1, 0, 1, bytes_of(0) / 2);
    add(5, 0, 2, bytes_of(0) - bytes_of(0) / 2);
    add(7, 0, 2, -bytes_of(0));
    add(8, 0, 3, 0);
    add(10, 0, 1, 0);
    card.timeline = line;
  }
}

// A step of two lanes a card, the backward pass half hiding one bucket; its whole
// prediction is the step that was measured.
inline void add_sample_lanes(Row& row, double step_ms) {
  StepLanesRow step;
  step.names = {"forward", "backward", "optimizer", "all_reduce 0"};
  const auto add = [&step](int lane, int name, double begin, double end) {
    step.lane.push_back(lane);
    step.name.push_back(name);
    step.begin_ms.push_back(begin);
    step.end_ms.push_back(end);
  };
  for (int card = 0; card < row.cards; ++card) {
    const int compute = 2 * card, communicate = 2 * card + 1;
    step.lanes.push_back("card " + std::to_string(card));
    step.lanes.push_back("card " + std::to_string(card) + " communication");
    add(compute, 0, 0, 0.3 * step_ms);
    add(compute, 1, 0.3 * step_ms, 0.7 * step_ms);
    add(communicate, 3, 0.5 * step_ms, 0.9 * step_ms);
    add(compute, 2, 0.9 * step_ms, step_ms);
  }
  row.step_lanes = step;
  row.predicted_step_ms = {step_ms, 0.9 * step_ms, 1.1 * step_ms};
}

// 1,998 rows as a large sweep leaves them: 6 models, 3 modes, 4 numbers of cards, 4
// bucket caps over 2 backends, 9 repetitions.
inline std::vector<Row> large_sweep(int steps = 200) {
  std::vector<Row> rows;
  const auto add = [&rows, steps](Row row, int repetition) {
    row.repetition = repetition;
    row.step_ms.assign(steps, row.step_ms.back() * (1 + 0.01 * repetition));
    for (auto& [phase, values] : row.phases_ms) values.assign(steps, values.back());
    row.losses.clear();
    for (int i = 0; i < steps; ++i) {
      row.losses.push_back(0.3 + 2 * std::exp(-0.02 * i) + 0.01 * std::sin(7.0 * i));
    }
    rows.push_back(std::move(row));
  };
  for (int model = 0; model < 6; ++model) {
    const std::string name = "model-" + std::to_string(model);
    const double ms = 2.0 * (1 + model);
    for (int repetition = 0; repetition < 9; ++repetition) {
      add(sample_row("single", name, 1, ms), repetition);
      for (int cards : {1, 2, 4, 8}) {
        add(sample_row("dp", name, cards, ms * (0.4 + 0.6 * cards)), repetition);
        for (int cap : {0, 1, 5, 25}) {
          for (const char* backend : {"gloo", "shm"}) {
            const double slow = *backend == 'g' ? 1.5 : 1.1;
            Row row = sample_row("ddp", name, cards,
                                 ms * slow * (1 + 0.02 * std::abs(cap - 5)));
            row.options = {{"backend", backend},
                           {"bucket-cap-mb", std::to_string(cap)}};
            row.phases_ms["comm"].assign(11, 0.4 * ms);
            add(std::move(row), repetition);
          }
        }
      }
    }
  }
  return rows;
}

}  // namespace lockstep::rows
