#include "rows/row.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>

namespace lockstep::rows {
namespace {

using nlohmann::json;

json machine_to_json(const MachineRow& machine) {
  return {{"cpu", machine.cpu},
          {"cores", machine.cores},
          {"memory_bytes", machine.memory_bytes},
          {"os", machine.os},
          {"libtorch", machine.libtorch},
          {"build", machine.build}};
}

json timeline_to_json(const TimelineRow& timeline) {
  return {{"ms", timeline.ms},
          {"category", timeline.category},
          {"stage", timeline.stage},
          {"bytes", timeline.bytes},
          {"categories", timeline.categories},
          {"stages", timeline.stages}};
}

json step_lanes_to_json(const StepLanesRow& step) {
  return {{"lanes", step.lanes}, {"names", step.names},       {"lane", step.lane},
          {"name", step.name},   {"begin_ms", step.begin_ms}, {"end_ms", step.end_ms}};
}

std::vector<double> after_warmup(const std::vector<double>& values, int64_t warmup) {
  std::vector<double> kept;
  for (size_t i = static_cast<size_t>(warmup); i < values.size(); ++i) {
    if (std::isfinite(values[i])) kept.push_back(values[i]);
  }
  return kept;
}

}  // namespace

std::string to_json_line(const Row& row) {
  json line = {{"schema", row.schema},
               {"name", row.name},
               {"repetition", row.repetition},
               {"status", row.status},
               {"message", row.message},
               {"flags", row.flags},
               {"date", row.date},
               {"commit", row.commit},
               {"machine", machine_to_json(row.machine)},
               {"mode", row.mode},
               {"model", row.model},
               {"dataset", row.dataset},
               {"device", row.device},
               {"scaling", row.scaling},
               {"cards", row.cards},
               {"threads_per_card", row.threads_per_card},
               {"local_batch", row.local_batch},
               {"global_batch", row.global_batch},
               {"warmup_steps", row.warmup_steps},
               {"options", row.options},
               {"step_ms", row.step_ms},
               {"phases_ms", row.phases_ms},
               {"losses", row.losses},
               {"memory", json::array()}};
  for (const CardRow& card : row.memory) {
    line["memory"].push_back({{"card", card.card},
                              {"peak_bytes", card.peak_bytes},
                              {"at_peak_bytes", card.at_peak_bytes}});
    if (!card.highest_bytes.empty()) {
      line["memory"].back()["highest_bytes"] = card.highest_bytes;
    }
    if (!card.allocator_peak_bytes.empty()) {
      line["memory"].back()["allocator_peak_bytes"] = card.allocator_peak_bytes;
    }
    if (card.process_bytes) {
      line["memory"].back()["process_bytes"] = *card.process_bytes;
    }
    if (card.predicted_peak_bytes) {
      line["memory"].back()["predicted_peak_bytes"] = *card.predicted_peak_bytes;
    }
    if (card.timeline) {
      line["memory"].back()["timeline"] = timeline_to_json(*card.timeline);
    }
  }
  if (row.step_lanes) line["step_lanes"] = step_lanes_to_json(*row.step_lanes);
  if (const auto& predicted = row.predicted_step_ms) {
    line["predicted_step_ms"] = {{"value", predicted->value},
                                 {"low", predicted->low},
                                 {"high", predicted->high}};
  }
  if (!row.notes.empty()) line["notes"] = row.notes;
  if (row.rss_peak_bytes) line["rss_peak_bytes"] = *row.rss_peak_bytes;
  if (row.accuracy) line["accuracy"] = *row.accuracy;
  if (row.flops_per_step) line["flops_per_step"] = *row.flops_per_step;
  if (row.peak_flops_per_s) line["peak_flops_per_s"] = *row.peak_flops_per_s;
  // `replace`: a message with broken UTF-8 must not cost the measurement.
  return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<double> percentile_ms(const Row& row, double p) {
  std::vector<double> sorted = after_warmup(row.step_ms, row.warmup_steps);
  if (sorted.empty()) return std::nullopt;
  std::sort(sorted.begin(), sorted.end());
  // Between two samples the line between them, as NumPy does.
  const double position = std::clamp(p, 0.0, 100.0) / 100.0 * (sorted.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}

std::optional<double> mean_phase_ms(const Row& row, const std::string& phase) {
  const auto found = row.phases_ms.find(phase);
  if (found == row.phases_ms.end()) return std::nullopt;
  const std::vector<double> kept = after_warmup(found->second, row.warmup_steps);
  if (kept.empty()) return std::nullopt;
  double sum = 0;
  for (double value : kept) sum += value;
  return sum / kept.size();
}

std::optional<double> step_ms_of(const Row& row) {
  const auto round = row.options.find("local-sgd");
  if (round == row.options.end()) return percentile_ms(row, 50);
  const int64_t steps = std::max(1LL, std::atoll(round->second.c_str()));
  const int64_t first = (row.warmup_steps + steps - 1) / steps * steps;
  const int64_t end = std::ssize(row.step_ms) / steps * steps;
  if (first >= end) return std::nullopt;
  const auto begin = row.step_ms.begin();
  return std::accumulate(begin + first, begin + end, 0.0) /
         static_cast<double>(end - first);
}

std::optional<double> samples_per_second(const Row& row) {
  const std::optional<double> step = step_ms_of(row);
  if (!step || !(*step > 0) || row.global_batch <= 0) return std::nullopt;
  return row.global_batch * 1000.0 / *step;
}

std::optional<double> tflops(const Row& row) {
  const std::optional<double> step = step_ms_of(row);
  if (!step || !(*step > 0) || !row.flops_per_step) return std::nullopt;
  return static_cast<double>(*row.flops_per_step) * 1e-9 / *step;
}

std::optional<double> share_of_peak(const Row& row) {
  const std::optional<double> done = tflops(row);
  if (!done || !row.peak_flops_per_s) return std::nullopt;
  return *done * 1e12 / *row.peak_flops_per_s;
}

std::optional<double> memory_imbalance(const Row& row) {
  double primary = 0, others = 0;
  int count = 0;
  bool found = false;
  for (const CardRow& card : row.memory) {
    if (card.card == 0) {
      primary = static_cast<double>(card.peak_bytes);
      found = true;
    } else {
      others += static_cast<double>(card.peak_bytes);
      ++count;
    }
  }
  if (!found || count == 0 || others <= 0) return std::nullopt;
  return primary * count / others;
}

bool same_job(const Row& one, const Row& other) {
  const auto batch = [](const Row& row) {
    return row.scaling == "strong" ? row.global_batch : row.local_batch;
  };
  return one.model == other.model && one.scaling == other.scaling &&
         batch(one) == batch(other);
}

const Row* single_beside(const Row& row, const std::vector<Row>& rows) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&row](const Row& one) {
    return one.mode == "single" && one.status == "ok" &&
           one.repetition == row.repetition && same_job(one, row) &&
           percentile_ms(one, 50).value_or(0) > 0;
  });
  return found == rows.end() ? nullptr : &*found;
}

std::optional<double> step_over_single(const Row& row, const std::vector<Row>& rows) {
  const auto step = percentile_ms(row, 25);
  const Row* single = single_beside(row, rows);
  if (row.status != "ok" || row.mode == "single" || !step || single == nullptr) {
    return std::nullopt;
  }
  return *step / *percentile_ms(*single, 25);
}

std::string knobs_of(const Row& row) {
  const std::string plain =
      row.mode + "/" + row.model + "/cards:" + std::to_string(row.cards);
  return row.name.rfind(plain, 0) == 0 ? row.name.substr(plain.size()) : "";
}

bool is_data_parallel(const std::string& mode) {
  return mode == "dp" || mode.rfind("dp-", 0) == 0;
}

int place_of_mode(const std::string& mode) {
  const std::vector<std::string> order = {
      "single",   "single-python", "single-python-compile",
      "dp",       "ddp",           "ddp-sharded",
      "ddp-c10d", "ddp-python",    "bound",
      "horovod"};
  const std::string loop =
      is_data_parallel(mode) ? "dp" : mode;  // its ways stay with it
  return static_cast<int>(std::find(order.begin(), order.end(), loop) - order.begin());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle]
                                : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace lockstep::rows
