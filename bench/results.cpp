#include "bench/results.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "cases/machine.h"
#include "files/output_file.h"

namespace lockstep::bench {
namespace {

using rows::Row;

std::string text_of(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

Row asked_for(const Case& one, const Sweep& sweep, const Stamp& stamp, int repetition) {
  Row row;
  row.name = one.name();
  row.repetition = repetition;
  row.date = stamp.date;
  row.commit = stamp.commit;
  row.machine = stamp.machine;
  row.mode = one.mode;
  row.model = one.model;
  row.dataset = sweep.dataset_of(one.model);
  row.device = sweep.device;
  row.scaling = sweep.scaling;
  row.cards = one.cards;
  row.threads_per_card = one.threads_per_card;
  row.local_batch = one.local_batch;
  row.global_batch = one.global_batch();
  row.warmup_steps = sweep.warmup;
  row.options = {{"steps", std::to_string(sweep.steps)},
                 {"precision", sweep.precision},
                 {"lr", text_of(sweep.lr)},
                 {"seed", std::to_string(sweep.seed)}};
  if (row.dataset == "tokens") {
    row.options["vocab-size"] = std::to_string(sweep.vocab_size);
  }
  if (sweep.channels_last) row.options["channels-last"] = "yes";
  if (one.loop() == "dp") {
    row.options["dp-reduce"] = one.dp.reduce;
    row.options["replicate"] = one.dp.replicate;
    row.options["dp-loss"] = one.dp.loss;
    row.options["primary-share"] = text_of(one.dp.primary_share);
  }
  if (one.loop() == "ddp") {
    const bool peer = one.mode == "ddp-c10d" || one.in_python();
    row.options["reducer"] = peer ? "c10d" : sweep.reducer;
    row.options["backend"] = peer ? "gloo" : sweep.backend;
    row.options["bucket-cap-mb"] = text_of(sweep.bucket_cap_mb);
    if (!one.link.empty()) row.options["link"] = one.link;
    if (one.mode == "ddp-sharded") row.options["shard-optimizer"] = "yes";
  }
  return row;
}

std::optional<double> median_throughput(const std::vector<Row>& rows,
                                        const std::string& name) {
  std::vector<double> values;
  for (const Row& row : rows) {
    if (row.name != name || row.status != "ok") continue;
    if (const auto value = rows::samples_per_second(row)) values.push_back(*value);
  }
  if (values.empty()) return std::nullopt;
  return rows::median(values);
}

}  // namespace

Row result_row(const Case& one, const Sweep& sweep, const Stamp& stamp, int repetition,
               const TrainReport& report) {
  Row row = asked_for(one, sweep, stamp, repetition);
  row.status = "ok";
  row.device = report.device;
  if (!report.device_name.empty()) row.machine.cpu = report.device_name;
  if (report.device == "cpu") {
    row.flags.emplace_back("emulated");
    if (one.cards * one.threads_per_card > cases::cores())
      row.flags.emplace_back("oversubscribed");
  }
  row.step_ms = report.step_ms;
  row.phases_ms = report.phases_ms;
  row.losses = report.losses;
  for (const training::CardMemory& card : report.cards) {
    row.memory.push_back({card.card, card.peak_bytes, card.at_peak_bytes,
                          card.highest_bytes, card.allocator_peak_bytes});
  }
  row.rss_peak_bytes = report.rss_peak_bytes;
  row.accuracy = report.accuracy();
  return row;
}

void add_timelines(Row& row, const TrainReport& report) {
  for (const training::CardMemory& card : report.cards) {
    if (!card.timeline) continue;
    const auto& [ms, category, stage, bytes, categories, stages] = *card.timeline;
    row.memory.at(static_cast<size_t>(card.card)).timeline = {
        ms, category, stage, bytes, categories, stages};
  }
}

Row error_row(const Case& one, const Sweep& sweep, const Stamp& stamp, int repetition,
              const std::string& message) {
  Row row = asked_for(one, sweep, stamp, repetition);
  row.status = "error";
  row.message = message;
  return row;
}

std::optional<double> scaling_efficiency(const std::vector<Row>& rows,
                                         const std::string& name) {
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const Row& one) { return one.name == name; });
  if (row == rows.end()) return std::nullopt;
  const auto mine = median_throughput(rows, name);
  const auto single =
      median_throughput(rows, Case{"single", row->model, 1, 1, 1}.name());
  if (!mine || !single || *single <= 0) return std::nullopt;
  return *mine / (row->cards * *single);
}

void write_rows(const std::vector<Row>& rows, const std::string& path) {
  std::string lines;
  for (const Row& row : rows) lines += rows::to_json_line(row) + "\n";
  files::write_whole(lines, path);
}

void finish_json(const std::vector<Row>& rows, const std::string& benchmarks,
                 const std::string& to) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(benchmarks);
  for (auto& entry : json.at("benchmarks")) {
    if (entry.value("error_occurred", false)) continue;
    // "ddp/mlp/cards:2/iterations:1/repeats:3/manual_time": ours is the part before.
    const std::string full = entry.at("run_name");
    const auto efficiency =
        scaling_efficiency(rows, full.substr(0, full.find("/iterations:")));
    if (efficiency.has_value() && entry.at("run_type") == "iteration") {
      entry["scaling_efficiency"] = *efficiency;
    }
  }
  files::write_whole(json.dump(2) + "\n", to);
}

void make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) {
    throw std::runtime_error("--out " + folder + " cannot be made: " +
                             failed.message() + "; give another folder");
  }
  for (const char* name : {"runs.jsonl", "results.json"}) {
    files::check_writable(folder + "/" + name, "--out");
  }
}

}  // namespace lockstep::bench
