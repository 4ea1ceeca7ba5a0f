#include "training/report.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

namespace lockstep::training {
namespace {

using Json = nlohmann::json;

namespace fs = std::filesystem;

// What a file is written as before it takes its place.
std::string temporary_beside(const std::string& path) {
  return path + ".tmp-" + std::to_string(getpid());
}

// /dev/stdout (whatever it leads to), a named pipe: what must not be replaced by a
// file.
bool takes_bytes_only(const std::string& path) {
  std::error_code missing;
  if (path.rfind("/dev/", 0) == 0 || path.rfind("/proc/", 0) == 0) return true;
  return fs::exists(path, missing) && !fs::is_regular_file(path, missing);
}

// Where the bytes go: a link stays a link to the file that is written.
std::string target_of(const std::string& path) {
  std::error_code missing;
  const fs::path target =
      takes_bytes_only(path) ? fs::path(path) : fs::canonical(path, missing);
  return missing ? path : target.string();
}

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
      "data", "forward", "backward", "exposed_comm", "optimizer"};
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
  job.correct = job.evaluated = job.rss_peak_bytes = 0;
  for (const TrainReport& rank : ranks) {
    if (rank.losses.size() != steps) {
      throw std::runtime_error("ranks took different numbers of steps: " +
                               std::to_string(rank.losses.size()) + " and " +
                               std::to_string(steps));
    }
    for (size_t step = 0; step < steps; ++step) {
      job.losses[step] += rank.losses[step] / static_cast<double>(ranks.size());
      job.samples[step] += rank.samples[step];
    }
    for (CardMemory card : rank.cards) {
      card.card = static_cast<int>(job.cards.size());
      job.cards.push_back(std::move(card));
    }
    job.correct += rank.correct;
    job.evaluated += rank.evaluated;
    job.rss_peak_bytes = std::max(job.rss_peak_bytes, rank.rss_peak_bytes);
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
  return Json{{"epochs", report.epochs},
              {"losses", report.losses},
              {"samples", report.samples},
              {"step_ms", report.step_ms},
              {"phases_ms", report.phases_ms},
              {"cards", cards},
              {"threads_per_card", report.threads_per_card},
              {"device", report.device},
              {"device_name", report.device_name},
              {"rss_peak_bytes", report.rss_peak_bytes},
              {"correct", report.correct},
              {"evaluated", report.evaluated}}
      .dump();
}

TrainReport report_from_json(const std::string& text) {
  const Json json = Json::parse(text);
  TrainReport report;
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
  json.at("correct").get_to(report.correct);
  json.at("evaluated").get_to(report.evaluated);
  return report;
}

void write_whole(const std::string& text, const std::string& path) {
  const std::string target = target_of(path);
  const bool in_place = takes_bytes_only(target);
  const std::string written_to = in_place ? target : temporary_beside(target);
  errno = 0;
  std::ofstream file(written_to, std::ios::binary);
  file << text << std::flush;
  const bool written = file.good();
  file.close();
  if (written && (in_place || std::rename(written_to.c_str(), target.c_str()) == 0))
    return;
  const std::string reason = std::strerror(errno);
  std::error_code ignored;
  if (!in_place) fs::remove(written_to, ignored);
  throw std::runtime_error("cannot write " + path + ": " + reason +
                           "; free some space or give another path");
}

void write_report(const TrainReport& report, const std::string& path) {
  write_whole(to_json(report) + "\n", path);
}

void write_metrics(const TrainReport& report, const std::string& path) {
  std::string lines;
  for (size_t step = 0; step < report.losses.size(); ++step) {
    lines += Json{{"step", step},
                  {"epoch", report.epochs[step]},
                  {"loss", report.losses[step]},
                  {"samples", report.samples[step]},
                  {"step_ms", report.step_ms[step]}}
                 .dump() +
             "\n";
  }
  write_whole(lines, path);
}

void check_writable(const std::string& path, const std::string& option) {
  const std::string target = target_of(path);
  std::error_code ignored;
  errno = 0;
  bool writable = false;
  if (fs::is_directory(target, ignored)) {
    errno = EISDIR;
  } else if (takes_bytes_only(target)) {
    writable = access(target.c_str(), W_OK) == 0;
  } else {
    const std::string temporary = temporary_beside(target);
    writable = std::ofstream(temporary).good();
    const int reason = errno;
    fs::remove(temporary, ignored);
    errno = reason;
  }
  if (writable) return;
  throw std::runtime_error(option + " " + path +
                           " cannot be written: " + std::strerror(errno) +
                           "; give a path in a folder that exists and is yours");
}

}  // namespace lockstep::training
