#include "training/report.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "files/output_file.h"

namespace lockstep::training {
namespace {

using Json = nlohmann::json;

Json timeline_to_json(const MemoryTimeline& timeline) {
  return {{"ms", timeline.ms},
          {"category", timeline.category},
          {"stage", timeline.stage},
          {"bytes", timeline.bytes},
          {"categories", timeline.categories},
          {"stages", timeline.stages}};
}

MemoryTimeline timeline_from_json(const Json& json) {
  return {.ms = json.at("ms"),
          .category = json.at("category"),
          .stage = json.at("stage"),
          .bytes = json.at("bytes"),
          .categories = json.at("categories"),
          .stages = json.at("stages")};
}

}  // namespace

const char* to_string(Phase phase) {
  static constexpr std::array<const char*, kPhases> kNames = {
      "data", "forward", "backward", "exposed_comm", "optimizer", "graph"};
  return kNames.at(static_cast<size_t>(phase));
}

std::optional<double> TrainReport::accuracy() const {
  if (evaluated == 0) return std::nullopt;
  return static_cast<double>(correct) / static_cast<double>(evaluated);
}

TrainReport merge(const std::vector<TrainReport>& ranks) {
  const auto total_ms = [](const TrainReport& report) {
    return std::accumulate(report.step_ms.begin(), report.step_ms.end(), 0.0);
  };
  TrainReport job = *std::max_element(
      ranks.begin(), ranks.end(),
      [&](const auto& a, const auto& b) { return total_ms(a) < total_ms(b); });
  const size_t steps = job.losses.size();
  std::fill(job.losses.begin(), job.losses.end(), 0.0);
  std::fill(job.samples.begin(), job.samples.end(), 0);
  job.cards.clear();
  job.notes.clear();
  job.correct = job.evaluated = job.rss_peak_bytes = 0;
  for (const TrainReport& rank : ranks) {
    if (rank.losses.size() != steps) {
      throw std::runtime_error("ranks took different numbers of steps: " +
                               std::to_string(rank.losses.size()) + " and " +
                               std::to_string(steps));
    }
    for (size_t step = 0; step < steps; ++step) {
      job.samples[step] += rank.samples[step];
    }
    for (CardMemory card : rank.cards) {
      card.card = static_cast<int>(job.cards.size());
      job.cards.push_back(std::move(card));
    }
    for (const std::string& note : rank.notes) {
      const bool known =
          std::find(job.notes.begin(), job.notes.end(), note) != job.notes.end();
      if (!known) job.notes.push_back(note);
    }
    job.correct += rank.correct;
    job.evaluated += rank.evaluated;
    job.rss_peak_bytes = std::max(job.rss_peak_bytes, rank.rss_peak_bytes);
  }
  for (const TrainReport& rank : ranks) {
    for (size_t step = 0; step < steps; ++step) {
      if (rank.samples[step] == 0) continue;  // its batch was empty (--join)
      job.losses[step] += rank.losses[step] / (static_cast<double>(job.samples[step]) /
                                               static_cast<double>(rank.samples[step]));
    }
  }
  return job;
}

std::string to_json(const TrainReport& report) {
  Json cards = Json::array();
  for (const CardMemory& card : report.cards) {
    cards.push_back({{"card", card.card},
                     {"peak_bytes", card.peak_bytes},
                     {"at_peak_bytes", card.at_peak_bytes},
                     {"highest_bytes", card.highest_bytes},
                     {"allocator_peak_bytes", card.allocator_peak_bytes}});
    if (card.timeline) cards.back()["timeline"] = timeline_to_json(*card.timeline);
  }
  Json json = {{"first_step", report.first_step},
               {"epochs", report.epochs},
               {"losses", report.losses},
               {"samples", report.samples},
               {"step_ms", report.step_ms},
               {"phases_ms", report.phases_ms},
               {"cards", cards},
               {"threads_per_card", report.threads_per_card},
               {"device", report.device},
               {"device_name", report.device_name},
               {"rss_peak_bytes", report.rss_peak_bytes},
               {"notes", report.notes},
               {"correct", report.correct},
               {"evaluated", report.evaluated}};
  if (report.ddp_logging_data) {
    json["ddp_logging_data"] = {{"strs_map", report.ddp_logging_data->strs_map},
                                {"ints_map", report.ddp_logging_data->ints_map}};
  }
  return json.dump();
}

TrainReport report_from_json(const std::string& text) {
  const Json json = Json::parse(text);
  TrainReport report;
  report.first_step = json.value("first_step", int64_t{0});
  json.at("epochs").get_to(report.epochs);
  json.at("losses").get_to(report.losses);
  json.at("samples").get_to(report.samples);
  json.at("step_ms").get_to(report.step_ms);
  json.at("phases_ms").get_to(report.phases_ms);
  for (const Json& card : json.at("cards")) {
    report.cards.push_back(
        {.card = card.at("card"),
         .peak_bytes = card.at("peak_bytes"),
         .at_peak_bytes = card.at("at_peak_bytes"),
         // The Python peers' reports know no ledger.
         .highest_bytes = card.value("highest_bytes", std::map<std::string, int64_t>{}),
         .allocator_peak_bytes = card.at("allocator_peak_bytes")});
    if (card.contains("timeline")) {
      report.cards.back().timeline = timeline_from_json(card.at("timeline"));
    }
  }
  json.at("threads_per_card").get_to(report.threads_per_card);
  json.at("device").get_to(report.device);
  json.at("device_name").get_to(report.device_name);
  json.at("rss_peak_bytes").get_to(report.rss_peak_bytes);
  report.notes = json.value("notes", std::vector<std::string>{});
  json.at("correct").get_to(report.correct);
  json.at("evaluated").get_to(report.evaluated);
  if (json.contains("ddp_logging_data")) {
    const Json& data = json.at("ddp_logging_data");
    report.ddp_logging_data = {data.at("strs_map"), data.at("ints_map")};
  }
  return report;
}

void write_report(const TrainReport& report, const std::string& path) {
  files::write_whole(to_json(report) + "\n", path);
}

void write_metrics(const TrainReport& report, const std::string& path) {
  std::string lines;
  for (size_t step = 0; step < report.losses.size(); ++step) {
    lines += Json{{"step", report.first_step + static_cast<int64_t>(step)},
                  {"epoch", report.epochs[step]},
                  {"loss", report.losses[step]},
                  {"samples", report.samples[step]},
                  {"step_ms", report.step_ms[step]}}
                 .dump() +
             "\n";
  }
  files::write_whole(lines, path);
}

}  // namespace lockstep::training
