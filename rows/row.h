// One measured run as one line of `runs.jsonl`: the only thing `bench` leaves and the
// only thing `report` reads. A row keeps raw samples (every step, every loss, every
// card); whatever can be derived from them is derived here, once, and never stored
// beside them.
//
// Not here: how a run is made (bench/) and how a chart looks (charts/specs/).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::rows {

inline constexpr int kSchema = 1;

// A card's memory over one step, one entry a change: their sum so far is what was live.
struct TimelineRow {
  std::vector<double> ms;  // since the step began; they do not fall
  // Indices of the names below. Stage "before": what was live as the step began.
  std::vector<int> category;
  std::vector<int> stage;
  std::vector<int64_t> bytes;  // charged; negative: freed; 0: a stage begins
  std::vector<std::string> categories;
  std::vector<std::string> stages;
};

// Memory of one card, in bytes, as its ledger told it.
struct CardRow {
  int card = 0;  // 0 is the primary card
  int64_t peak_bytes = 0;
  std::map<std::string, int64_t>
      at_peak_bytes;  // by category, at the moment of the peak
  // Each category's own largest, whenever that was. Empty in older rows.
  std::map<std::string, int64_t> highest_bytes{};
  // The caching allocator's own peaks, as it rounds them: "allocated", "reserved".
  // Empty where it was not asked.
  std::map<std::string, int64_t> allocator_peak_bytes{};
  std::optional<TimelineRow> timeline{};  // of one step, where it was asked for
  // What the memory model told of it, where it was asked.
  std::optional<int64_t> predicted_peak_bytes{};
};

// One step of every rank, laid out in time: a lane for what a card computes and one for
// what it communicates. Spans of one lane lie inside each other or apart.
struct StepLanesRow {
  std::vector<std::string> lanes;  // "card 0", "card 0 communication"
  std::vector<std::string> names;  // "forward", "backward", "all_reduce 0"
  // One entry a span: indices of the above, and when it was, since the earliest rank's
  // step began.
  std::vector<int> lane;
  std::vector<int> name;
  std::vector<double> begin_ms;
  std::vector<double> end_ms;
};

// What was foretold of the median step, without measuring this case.
struct PredictedRow {
  double value = 0;
  double low = 0;  // the interval that is to hold it 9 times of 10
  double high = 0;
};

struct MachineRow {
  std::string cpu;  // model name; the device's name where one was used
  int cores = 0;
  int64_t memory_bytes = 0;
  std::string os;
  std::string libtorch;
  std::string build;  // "Release clang 14.0.6"
};

struct Row {
  int schema = kSchema;
  std::string name;                // the case: "ddp/mlp/cards:2"
  int repetition = 0;              // counts from 0
  std::string status;              // "ok", "error" or "waived"
  std::string message;             // one line: why it is an error or waived
  std::vector<std::string> flags;  // "emulated", "oversubscribed", "lossy"
  std::vector<std::string> notes;  // what whoever reads the figures should know
  std::string date;                // ISO 8601, UTC
  std::string commit;
  MachineRow machine;

  // What was asked for.
  std::string mode;  // "single", "dp", "ddp", "horovod"
  std::string model;
  std::string dataset;
  std::string device;   // "cpu", "cuda"
  std::string scaling;  // "weak" (local batch fixed) or "strong" (global batch fixed)
  int cards = 1;
  int threads_per_card = 1;
  int64_t local_batch = 0;   // samples a card and step
  int64_t global_batch = 0;  // samples a step
  int64_t warmup_steps =
      0;  // the first steps of the vectors below: left out of every figure
  std::map<std::string, std::string> options;  // every other option by its long name

  // What was measured, one entry a step, warm-up included. Milliseconds of the slowest
  // rank.
  std::vector<double> step_ms;
  // Keys "data", "forward", "backward", "exposed_comm", "optimizer": together they are
  // step_ms; of a CUDA graph "data" and "graph" are. "comm" is the collectives' own
  // time, overlapped or not; absent where there are none.
  std::map<std::string, std::vector<double>> phases_ms;
  std::vector<double> losses;   // mean over the global batch
  std::vector<CardRow> memory;  // one entry a card; empty when it was not measured
  std::optional<StepLanesRow> step_lanes;         // of one step, where it was asked for
  std::optional<PredictedRow> predicted_step_ms;  // where it was asked for
  std::optional<int64_t>
      rss_peak_bytes;              // largest process: what bypasses LibTorch shows here
  std::optional<double> accuracy;  // on the test set, 0..1
};

// One line of JSON, without the newline. NaN is written as null, absent optionals are
// left out.
std::string to_json_line(const Row& row);

// Throws std::runtime_error naming the schema or the key and `where` ("runs.jsonl:3").
// An unknown schema is refused; keys this version does not know are ignored.
Row from_json_line(const std::string& line, const std::string& where);

// Throws std::runtime_error naming the file and line. Blank lines are skipped.
std::vector<Row> read_rows(const std::string& path);

// Figures over the steps after warm-up; empty when there are none.
std::optional<double> percentile_ms(const Row& row, double p);  // p in 0..100
std::optional<double> mean_phase_ms(const Row& row, const std::string& phase);
// What a step takes: the median; of ranks that meet every H steps (option "local-sgd")
// the mean over whole rounds, for no median sees the one step of H that meets. Empty
// without a whole round after warm-up.
std::optional<double> step_ms_of(const Row& row);
// The whole job's throughput at that.
std::optional<double> samples_per_second(const Row& row);
// The primary card's peak over the mean of the other cards' peaks; empty for one card.
std::optional<double> memory_imbalance(const Row& row);

// Whether both train the same model on equal batches, by the same kind of scaling: only
// then is one measured against the other.
bool same_job(const Row& one, const Row& other);
// The single card that did the same job in the same repetition, with a step time; null
// where there is none.
const Row* single_beside(const Row& row, const std::vector<Row>& rows);
// What two runs are compared by, as seconds differ from machine to machine and from day
// to day: the case's step over that single card's. Of each the lower quartile: whatever
// else a machine does makes some steps longer and none shorter, so this one moves less
// than the median from run to run (2 % where that moved 3 %), and a program that became
// slower moves it as much. Absent for single cards, which are their own measure.
std::optional<double> step_over_single(const Row& row, const std::vector<Row>& rows);
// What its name says beyond mode, model and cards: the knobs that its run swept.
std::string knobs_of(const Row& row);

// Whether it is DataParallel: "dp", a way through it as "dp-tree", or a peer beside it,
// "dp-python".
bool is_data_parallel(const std::string& mode);
// Where modes stand below each other, each one's place: a single card's first.
int place_of_mode(const std::string& mode);

// Of one value or more: repetitions of a figure are told by it.
double median(std::vector<double> values);

}  // namespace lockstep::rows
