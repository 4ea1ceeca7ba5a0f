// Reading rows: bytes that someone else may have written, or half written.
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "rows/json_fields.h"
#include "rows/row.h"

namespace lockstep::rows {
namespace {

using nlohmann::json;

constexpr int64_t kMaxCount = 1'000'000'000;
constexpr int64_t kMaxCards = 100'000;
constexpr int64_t kMaxBytes = std::numeric_limits<int64_t>::max();

MachineRow read_machine(const JsonFields& in) {
  MachineRow machine;
  if (in.has("cpu")) machine.cpu = in.text("cpu");
  if (in.has("cores"))
    machine.cores = static_cast<int>(in.whole("cores", 0, kMaxCount));
  if (in.has("memory_bytes"))
    machine.memory_bytes = in.whole("memory_bytes", 0, kMaxBytes);
  if (in.has("os")) machine.os = in.text("os");
  if (in.has("libtorch")) machine.libtorch = in.text("libtorch");
  if (in.has("build")) machine.build = in.text("build");
  return machine;
}

// `of`: what the list is a part of, "timeline".
std::vector<int> read_indices(const JsonFields& in, const std::string& of,
                              const std::string& key, size_t names) {
  std::vector<int> indices;
  for (const json& entry : in.list(key)) {
    const auto last = static_cast<int64_t>(names) - 1;
    indices.push_back(static_cast<int>(in.whole(entry, of + "." + key, 0, last)));
  }
  return indices;
}

TimelineRow read_timeline(const JsonFields& in) {
  TimelineRow timeline;
  timeline.categories = in.texts("categories");
  timeline.stages = in.texts("stages");
  timeline.ms = in.numbers(in.at("ms"), "timeline.ms");
  timeline.category =
      read_indices(in, "timeline", "category", timeline.categories.size());
  timeline.stage = read_indices(in, "timeline", "stage", timeline.stages.size());
  constexpr int64_t kMost = int64_t{1} << 60;  // their sums stay far from overflowing
  for (const json& entry : in.list("bytes")) {
    timeline.bytes.push_back(in.whole(entry, "timeline.bytes", -kMost, kMost));
  }
  const size_t changes = timeline.ms.size();
  if (timeline.category.size() != changes || timeline.stage.size() != changes ||
      timeline.bytes.size() != changes) {
    in.refuse("the lists of \"timeline\" are not of one length");
  }
  std::vector<int64_t> live(timeline.categories.size(), 0);
  double before = 0;
  for (size_t i = 0; i < changes; ++i) {
    if (!(timeline.ms[i] >= before)) in.refuse("the times of \"timeline\" fall");
    before = timeline.ms[i];
    int64_t& bytes = live[static_cast<size_t>(timeline.category[i])];
    bytes += timeline.bytes[i];
    if (bytes < 0 || bytes > kMost) {
      in.refuse("change " + std::to_string(i) + " of \"timeline\" leaves " +
                std::to_string(bytes) + " bytes");
    }
  }
  return timeline;
}

StepLanesRow read_step_lanes(const JsonFields& in) {
  StepLanesRow step;
  step.lanes = in.texts("lanes");
  step.names = in.texts("names");
  step.lane = read_indices(in, "step_lanes", "lane", step.lanes.size());
  step.name = read_indices(in, "step_lanes", "name", step.names.size());
  step.begin_ms = in.numbers(in.at("begin_ms"), "step_lanes.begin_ms");
  step.end_ms = in.numbers(in.at("end_ms"), "step_lanes.end_ms");
  const size_t spans = step.lane.size();
  if (step.name.size() != spans || step.begin_ms.size() != spans ||
      step.end_ms.size() != spans) {
    in.refuse("the lists of \"step_lanes\" are not of one length");
  }
  for (size_t i = 0; i < spans; ++i) {
    if (!(step.begin_ms[i] >= 0 && step.end_ms[i] >= step.begin_ms[i])) {
      in.refuse("span " + std::to_string(i) +
                " of \"step_lanes\" ends before it begins");
    }
  }
  return step;
}

PredictedRow read_predicted(const JsonFields& in) {
  PredictedRow predicted{in.number("value"), in.number("low"), in.number("high")};
  if (!(0 < predicted.low && predicted.low <= predicted.value &&
        predicted.value <= predicted.high)) {
    in.refuse("\"predicted_step_ms\" does not have 0 < low <= value <= high");
  }
  return predicted;
}

CardRow read_card(const json& entry, const JsonFields& row) {
  if (!entry.is_object()) row.refuse_kind("memory", "a list of cards", entry);
  JsonFields in(entry, row.where());
  CardRow card;
  card.card = static_cast<int>(in.whole("card", 0, kMaxCards));
  card.peak_bytes = in.whole("peak_bytes", 0, kMaxBytes);
  const auto read_bytes = [&](const char* key, std::map<std::string, int64_t>& into) {
    if (!in.has(key)) return;
    for (const auto& [name, bytes] : in.object(key).items()) {
      into[name] = in.whole(bytes, name, 0, kMaxBytes);
    }
  };
  read_bytes("at_peak_bytes", card.at_peak_bytes);
  read_bytes("highest_bytes", card.highest_bytes);
  read_bytes("allocator_peak_bytes", card.allocator_peak_bytes);
  if (in.has("predicted_peak_bytes")) {
    card.predicted_peak_bytes = in.whole("predicted_peak_bytes", 0, kMaxBytes);
  }
  if (in.has("timeline")) {
    card.timeline = read_timeline(JsonFields(in.object("timeline"), row.where()));
  }
  return card;
}

void read_asked(const JsonFields& in, Row& row) {
  row.mode = in.text("mode");
  row.model = in.text("model");
  if (in.has("dataset")) row.dataset = in.text("dataset");
  if (in.has("device")) row.device = in.text("device");
  if (in.has("scaling")) row.scaling = in.text("scaling");
  row.cards = static_cast<int>(in.whole("cards", 1, kMaxCards));
  if (in.has("threads_per_card")) {
    row.threads_per_card = static_cast<int>(in.whole("threads_per_card", 0, kMaxCards));
  }
  if (in.has("local_batch")) row.local_batch = in.whole("local_batch", 0, kMaxCount);
  if (in.has("global_batch")) row.global_batch = in.whole("global_batch", 0, kMaxCount);
  if (in.has("warmup_steps")) row.warmup_steps = in.whole("warmup_steps", 0, kMaxCount);
  if (in.has("options")) {
    for (const auto& [key, value] : in.object("options").items()) {
      if (!value.is_string()) in.refuse_kind("options." + key, "a text", value);
      row.options[key] = value.get<std::string>();
    }
  }
}

void read_measured(const JsonFields& in, Row& row) {
  if (in.has("step_ms")) row.step_ms = in.numbers(in.at("step_ms"), "step_ms");
  if (in.has("phases_ms")) {
    for (const auto& [phase, values] : in.object("phases_ms").items()) {
      if (values.is_null()) continue;
      row.phases_ms[phase] = in.numbers(values, "phases_ms." + phase);
    }
  }
  if (in.has("losses")) row.losses = in.numbers(in.at("losses"), "losses");
  if (in.has("memory")) {
    for (const json& entry : in.list("memory"))
      row.memory.push_back(read_card(entry, in));
  }
  if (in.has("step_lanes")) {
    row.step_lanes = read_step_lanes(JsonFields(in.object("step_lanes"), in.where()));
  }
  if (in.has("predicted_step_ms")) {
    row.predicted_step_ms =
        read_predicted(JsonFields(in.object("predicted_step_ms"), in.where()));
  }
  if (in.has("notes")) row.notes = in.texts("notes");
  if (in.has("rss_peak_bytes")) {
    row.rss_peak_bytes = in.whole("rss_peak_bytes", 0, kMaxBytes);
  }
  if (in.has("accuracy")) row.accuracy = in.number("accuracy");
}

}  // namespace

Row from_json_line(const std::string& line, const std::string& where) {
  json object;
  try {
    object = json::parse(line);
  } catch (const json::parse_error& error) {
    throw std::runtime_error(where + ": not valid JSON at byte " +
                             std::to_string(error.byte) +
                             " (a run that was cut short?); delete that line or make "
                             "the rows again with `bench`");
  } catch (const json::out_of_range&) {
    JsonFields(object, where).refuse("a number in it is larger than any double");
  }
  JsonFields in(object, where);
  if (!object.is_object()) in.refuse_kind("row", "an object", object);
  // Before anything else is looked at: another schema's keys may mean something else.
  if (!in.at("schema").is_number_integer() || in.at("schema") < 1 ||
      in.at("schema") > kSchema) {
    throw std::runtime_error(where + ": schema " + in.at("schema").dump() +
                             " is unknown to this program (it reads up to " +
                             std::to_string(kSchema) +
                             "); update Lockstep, or make the rows again with `bench`");
  }
  Row row;
  row.schema = static_cast<int>(in.whole("schema", 1, kSchema));
  row.name = in.text("name");
  row.status = in.text("status");
  if (row.status != "ok" && row.status != "error" && row.status != "waived") {
    in.refuse("status \"" + row.status + "\" is none of ok, error, waived");
  }
  if (in.has("message")) row.message = in.text("message");
  if (in.has("repetition")) {
    row.repetition = static_cast<int>(in.whole("repetition", 0, kMaxCount));
  }
  if (in.has("flags")) row.flags = in.texts("flags");
  if (in.has("date")) row.date = in.text("date");
  if (in.has("commit")) row.commit = in.text("commit");
  if (in.has("machine"))
    row.machine = read_machine(JsonFields(in.object("machine"), where));
  read_asked(in, row);
  read_measured(in, row);
  return row;
}

std::vector<Row> read_rows(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened for reading");
  std::vector<Row> rows;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    rows.push_back(from_json_line(line, path + ":" + std::to_string(number)));
  }
  if (file.bad()) throw std::runtime_error(path + ": reading failed half way");
  return rows;
}

}  // namespace lockstep::rows
