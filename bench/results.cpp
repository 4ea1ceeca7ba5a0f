#include "bench/results.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cases/machine.h"
#include "files/output_file.h"
#include "summary/efficiency.h"
#include "training/options.h"

namespace lockstep::bench {
namespace {

using cases::text_of;
using rows::Row;

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
  row.scaling = one.scaling;
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
  if (sweep.cudnn_benchmark) row.options["cudnn-benchmark"] = "yes";
  if (sweep.cuda_graph) row.options["cuda-graph"] = "yes";
  if (sweep.num_workers > 0) {
    row.options["num-workers"] = std::to_string(sweep.num_workers);
  }
  if (sweep.pin_memory) row.options["pin-memory"] = "yes";
  if (one.loop() == "dp") {
    row.options["dp-reduce"] = one.dp.reduce;
    row.options["replicate"] = one.dp.replicate;
    row.options["dp-loss"] = one.dp.loss;
    row.options["primary-share"] = text_of(one.dp.primary_share);
  }
  if (one.has_ranks()) {
    row.options["backend"] = one.ddp.backend;
    if (one.ranks_per_gpu > 1) {
      row.options["ranks-per-gpu"] = std::to_string(one.ranks_per_gpu);
    }
    if (!one.ddp.link.empty()) row.options["link"] = one.ddp.link;
    if (one.ddp.ranks_per_host > 1) {
      row.options["ranks-per-host"] = std::to_string(one.ddp.ranks_per_host);
    }
  }
  if (one.loop() == "ddp") {
    row.options["reducer"] = one.ddp.reducer;
    // Where caps are swept, a case without buckets is none of theirs.
    if (one.ddp.has_buckets() || sweep.bucket_caps_mb.size() == 1) {
      row.options["bucket-cap-mb"] = text_of(one.ddp.bucket_cap_mb);
    }
    if (one.ddp.comm_hook != "allreduce") row.options["comm-hook"] = one.ddp.comm_hook;
    if (one.ddp.comm_hook == "powersgd") {
      row.options["powersgd-rank"] = std::to_string(sweep.powersgd_rank);
    }
    if (!one.ddp.overlap) row.options["overlap"] = "no";
    if (one.ddp.averages()) row.options["local-sgd"] = std::to_string(sweep.local_sgd);
    if (one.mode == "ddp-sharded") row.options["shard-optimizer"] = "yes";
  }
  if (one.loop() == "horovod") {
    row.options["fusion-threshold-mb"] = text_of(one.horovod.fusion_threshold_mb);
    row.options["cycle-time-ms"] = text_of(one.horovod.cycle_time_ms);
    if (one.horovod.fp16_allreduce) row.options["fp16-allreduce"] = "yes";
  }
  return row;
}

[[noreturn]] void throw_cannot_make(const std::string& folder, const std::string& why) {
  throw std::runtime_error("--out " + folder + " cannot be made: " + why +
                           "; give another folder");
}

void check_files_of(const std::string& folder) {
  for (const char* name : {"runs.jsonl", "results.json"}) {
    files::check_writable(folder + "/" + name, "--out");
  }
}

}  // namespace

Row planned_row(const Case& one, const Sweep& sweep) {
  return asked_for(one, sweep, {}, 0);
}

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
  if (one.lossy() || training::rounds(sweep.precision)) row.flags.emplace_back("lossy");
  row.step_ms = report.step_ms;
  row.phases_ms = report.phases_ms;
  row.notes = report.notes;
  row.flops_per_step = report.flops_per_step;
  row.peak_flops_per_s = report.peak_flops_per_s;
  const bool refused =
      std::any_of(report.notes.begin(), report.notes.end(), [](const std::string& note) {
        return note.rfind("--cuda-graph:", 0) == 0;
      });
  if (sweep.cuda_graph && (refused || report.phases_ms.count("graph") == 0)) {
    row.options["cuda-graph"] = "no";
  }
  row.losses = report.losses;
  for (const training::CardMemory& card : report.cards) {
    row.memory.push_back({card.card, card.peak_bytes, card.at_peak_bytes,
                          card.highest_bytes, card.allocator_peak_bytes,
                          card.process_bytes});
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
    const std::string name = full.substr(0, full.find("/iterations:"));
    const auto add = [&](const char* counter, const std::optional<double>& value) {
      if (value && entry.at("run_type") == "iteration") entry[counter] = *value;
    };
    add("scaling_efficiency", summary::scaling_efficiency(rows, name));
    add("efficiency_over_one_rank", summary::efficiency_over_one_rank(rows, name));
  }
  files::write_whole(json.dump(2) + "\n", to);
}

void make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw_cannot_make(folder, failed.message());
  check_files_of(folder);
}

void check_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code failed;
  if (fs::is_directory(folder, failed)) return check_files_of(folder);
  fs::path nearest = fs::absolute(folder);
  while (!fs::exists(nearest, failed) && nearest.has_relative_path()) {
    nearest = nearest.parent_path();
  }
  if (!fs::is_directory(nearest)) throw_cannot_make(folder, "Not a directory");
  if (access(nearest.c_str(), W_OK | X_OK) != 0) {
    throw_cannot_make(folder, std::strerror(errno));
  }
}

}  // namespace lockstep::bench
