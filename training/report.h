// What one run of a loop measured: plain numbers, as raw as they came. From here on
// data flows to files only: the metrics file, the report file that `bench` reads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::training {

// The parts of a step, in this order; together they are the step. Of one that is
// replayed as a CUDA graph all but the first are "graph".
enum class Phase : uint8_t { data, forward, backward, exposed_comm, optimizer, graph };
inline constexpr int kPhases = 6;
inline constexpr int kEagerPhases = 5;
const char* to_string(Phase phase);

// A card's memory over one step, one entry a change: their sum so far is what was live.
struct MemoryTimeline {
  std::vector<double> ms;  // since the step began
  // Of the names below. Stage 0 is "before": what was live as the step began.
  std::vector<int> category;
  std::vector<int> stage;
  std::vector<int64_t> bytes;  // charged; negative: freed; 0: a stage begins
  std::vector<std::string> categories;
  std::vector<std::string> stages;
};

struct CardMemory {
  int card = 0;
  int64_t peak_bytes = 0;
  std::map<std::string, int64_t> at_peak_bytes;  // by category
  // Each category's own largest during training, whenever that was.
  std::map<std::string, int64_t> highest_bytes{};
  // The caching allocator's own peaks, as it rounds: "allocated", "reserved".
  std::map<std::string, int64_t> allocator_peak_bytes{};
  // The last step's, where it was asked for.
  std::optional<MemoryTimeline> timeline{};
};

// The fields of PyTorch's DDPLoggingData, under their names (c10/util/Logging.h).
struct DDPLoggingData {
  std::map<std::string, std::string> strs_map;
  std::map<std::string, int64_t> ints_map;
};

struct TrainReport {
  int64_t first_step = 0;  // of a resumed run: how many were taken before
  // One entry an optimizer step.
  std::vector<int64_t> epochs;
  std::vector<double> losses;    // mean over the global batch
  std::vector<int64_t> samples;  // of the global batch
  std::vector<double> step_ms;
  std::map<std::string, std::vector<double>>
      phases_ms;  // by to_string(Phase), and "comm"

  std::vector<CardMemory> cards;
  int threads_per_card = 1;
  std::string device;       // "cpu", "cuda"
  std::string device_name;  // "NVIDIA H200"; empty for emulated cards
  int64_t rss_peak_bytes = 0;

  // What is no error and whoever ran this should know, a line each. Of the job
  // what any rank had to say, once.
  std::vector<std::string> notes{};

  // The test set, counted once; 0 of 0 when it was not asked for.
  int64_t correct = 0;
  int64_t evaluated = 0;
  std::optional<double> accuracy() const;

  // Rank 0's, where it reduced gradients in buckets of ours (ddp/logging_data.h).
  std::optional<DDPLoggingData> ddp_logging_data{};
  // The text of a file of its own (timing/bucket_times.h), and not in the report's;
  // empty: nobody asked.
  std::string bucket_times{};
};

// The reports of all ranks as the job's one: losses are averaged over samples,
// samples and counts added, cards listed in the order of ranks, times are the slowest
// rank's.
TrainReport merge(const std::vector<TrainReport>& ranks);

std::string to_json(const TrainReport& report);
TrainReport report_from_json(const std::string& text);

// As files/output_file.h writes them.
void write_report(const TrainReport& report, const std::string& path);
void write_metrics(const TrainReport& report, const std::string& path);

}  // namespace lockstep::training

namespace lockstep {
using training::TrainReport;
}
