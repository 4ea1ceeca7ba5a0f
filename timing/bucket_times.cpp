#include "timing/bucket_times.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace lockstep::timing {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;
constexpr int64_t kMaxRanks = 100'000;
constexpr int64_t kMaxCount = std::numeric_limits<int64_t>::max();

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error(what); }

std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > 40 ? text.substr(0, 37) + "..." : text;
}

const json& at(const json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) refuse("there is no \"" + key + "\"");
  return *found;
}

const json& list(const json& object, const std::string& key) {
  const json& value = at(object, key);
  if (!value.is_array())
    refuse("\"" + key + "\" should be a list, not " + shown(value));
  return value;
}

int64_t whole(const json& value, const std::string& key, int64_t low, int64_t high) {
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() &&
                      value.get<uint64_t>() > static_cast<uint64_t>(high)) &&
                    value.get<int64_t>() >= low && value.get<int64_t>() <= high;
  if (!fits) {
    refuse("\"" + key + "\" should be a whole number from " + std::to_string(low) +
           " to " + std::to_string(high) + ", not " + shown(value));
  }
  return value.get<int64_t>();
}

double number(const json& value, const std::string& key) {
  if (!value.is_number())
    refuse("\"" + key + "\" should be a number, not " + shown(value));
  return value.get<double>();
}

std::string text(const json& value, const std::string& key) {
  if (!value.is_string())
    refuse("\"" + key + "\" should be a text, not " + shown(value));
  return value.get<std::string>();
}

template <typename Read>
auto map_of(const json& object, const std::string& key, Read read) {
  std::map<std::string, decltype(read(object, key))> result;
  const auto found = object.find(key);
  if (found == object.end()) return result;
  if (!found->is_object()) {
    refuse("\"" + key + "\" should be an object, not " + shown(*found));
  }
  for (const auto& [name, value] : found->items()) {
    result[name] = read(value, key + "." + name);
  }
  return result;
}

struct Named {
  const char* name;
  double us;
};

// JSON has no infinities, and what is no number is in no order.
void check_order(const std::vector<Named>& times, const std::string& of) {
  for (size_t i = 0; i < times.size(); ++i) {
    const std::string here = of + "\"" + times[i].name + "\"";
    if (!std::isfinite(times[i].us)) refuse(here + " is no finite number");
    if (i > 0 && times[i].us < times[i - 1].us) {
      refuse(here + " is " + shown(times[i].us) + ", before \"" + times[i - 1].name +
             "\", " + shown(times[i - 1].us));
    }
  }
}

// What both ways hold a rank's step to.
void check(const StepTimes& step, const RunTimes& run, const StepTimes* before) {
  if (step.step < 0) refuse("step " + std::to_string(step.step) + " is none");
  if (step.rank < 0 || step.rank >= run.world_size) {
    refuse("rank " + std::to_string(step.rank) + " is none of " +
           std::to_string(run.world_size));
  }
  if (before != nullptr &&
      std::pair(step.step, step.rank) <= std::pair(before->step, before->rank)) {
    refuse("step " + std::to_string(step.step) + " of rank " +
           std::to_string(step.rank) + " stands behind step " +
           std::to_string(before->step) + " of rank " + std::to_string(before->rank));
  }
  check_order({{"begin_us", step.begin_us},
               {"backward_us", step.backward_us},
               {"backward_end_us", step.backward_end_us},
               {"reduced_us", step.reduced_us}},
              "");
  for (size_t i = 0; i < step.buckets.size(); ++i) {
    const BucketTimes& bucket = step.buckets[i];
    if (bucket.bytes < 0) refuse("\"bytes\" is " + std::to_string(bucket.bytes));
    check_order({{"ready_us", bucket.ready_us},
                 {"launch_us", bucket.launch_us},
                 {"finish_us", bucket.finish_us}},
                "bucket " + std::to_string(i) + ": ");
  }
}

// A list a field: a bucket's own object would be three quarters names.
json to_json(const StepTimes& step) {
  json bytes = json::array(), ready = json::array(), launch = json::array(),
       finish = json::array();
  for (const BucketTimes& bucket : step.buckets) {
    bytes.push_back(bucket.bytes);
    ready.push_back(bucket.ready_us);
    launch.push_back(bucket.launch_us);
    finish.push_back(bucket.finish_us);
  }
  return {{"schema", kSchema},
          {"step", step.step},
          {"rank", step.rank},
          {"begin_us", step.begin_us},
          {"backward_us", step.backward_us},
          {"backward_end_us", step.backward_end_us},
          {"reduced_us", step.reduced_us},
          {"bytes", std::move(bytes)},
          {"ready_us", std::move(ready)},
          {"launch_us", std::move(launch)},
          {"finish_us", std::move(finish)}};
}

json to_json(const RunTimes& times) {
  json clocks = json::array();
  for (const ClockOffset& clock : times.clocks) {
    clocks.push_back(
        {{"offset_us", clock.offset_us}, {"uncertainty_us", clock.uncertainty_us}});
  }
  return {{"schema", kSchema},          {"run", times.run},
          {"strs", times.strs},         {"ints", times.ints},
          {"hosts", times.hosts},       {"world_size", times.world_size},
          {"clocks", std::move(clocks)}};
}

RunTimes run_from(const json& line) {
  RunTimes run;
  run.run = map_of(line, "run", text);
  run.strs = map_of(line, "strs", text);
  run.ints = map_of(line, "ints", [](const json& value, const std::string& key) {
    return whole(value, key, std::numeric_limits<int64_t>::min(), kMaxCount);
  });
  run.world_size =
      static_cast<int>(whole(at(line, "world_size"), "world_size", 1, kMaxRanks));
  for (const json& host : list(line, "hosts")) run.hosts.push_back(text(host, "hosts"));
  for (const json& clock : list(line, "clocks")) {
    run.clocks.push_back({number(at(clock, "offset_us"), "offset_us"),
                          number(at(clock, "uncertainty_us"), "uncertainty_us")});
  }
  return run;
}

void check(const RunTimes& run) {
  const auto ranks = static_cast<size_t>(run.world_size);
  if (run.hosts.size() != ranks || run.clocks.size() != ranks) {
    refuse(std::to_string(ranks) + " ranks with " + std::to_string(run.hosts.size()) +
           " hosts and " + std::to_string(run.clocks.size()) + " clocks");
  }
  for (const ClockOffset& clock : run.clocks) {
    if (!std::isfinite(clock.offset_us) || !std::isfinite(clock.uncertainty_us) ||
        clock.uncertainty_us < 0) {
      refuse("a clock is off by " + shown(clock.offset_us) + " us, and that to " +
             shown(clock.uncertainty_us) + " us");
    }
  }
}

StepTimes step_from(const json& line) {
  StepTimes step;
  step.step = whole(at(line, "step"), "step", 0, kMaxCount);
  step.rank = static_cast<int>(whole(at(line, "rank"), "rank", 0, kMaxRanks));
  step.begin_us = number(at(line, "begin_us"), "begin_us");
  step.backward_us = number(at(line, "backward_us"), "backward_us");
  step.backward_end_us = number(at(line, "backward_end_us"), "backward_end_us");
  step.reduced_us = number(at(line, "reduced_us"), "reduced_us");
  const json& bytes = list(line, "bytes");
  const json& ready = list(line, "ready_us");
  const json& launch = list(line, "launch_us");
  const json& finish = list(line, "finish_us");
  const size_t buckets = bytes.size();
  if (ready.size() != buckets || launch.size() != buckets || finish.size() != buckets) {
    refuse("the lists of the buckets are not of one length");
  }
  for (size_t i = 0; i < buckets; ++i) {
    step.buckets.push_back(
        {whole(bytes[i], "bytes", 0, kMaxCount), number(ready[i], "ready_us"),
         number(launch[i], "launch_us"), number(finish[i], "finish_us")});
  }
  return step;
}

std::string written(const json& line) {
  return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

json parsed(const std::string& line) {
  json object;
  try {
    object = json::parse(line);
  } catch (const json::parse_error& error) {
    refuse("not valid JSON at byte " + std::to_string(error.byte) +
           " (a run that was cut short?)");
  } catch (const json::out_of_range&) {
    refuse("a number in it is larger than any double");
  }
  if (!object.is_object()) refuse("should be an object, not " + shown(object));
  // Before anything else: another schema's keys may mean something else.
  const json& schema = at(object, "schema");
  if (schema != kSchema) {
    refuse("schema " + shown(schema) + " is unknown to this program (it reads " +
           std::to_string(kSchema) + "); update Lockstep");
  }
  return object;
}

void take(const std::string& line, bool is_first, RunTimes& run) {
  const json object = parsed(line);
  if (is_first) {
    run = run_from(object);
    check(run);
    return;
  }
  const StepTimes step = step_from(object);
  check(step, run, run.steps.empty() ? nullptr : &run.steps.back());
  run.steps.push_back(step);
}

}  // namespace

std::string to_json_lines(const RunTimes& times) {
  check(times);
  std::string lines = written(to_json(times));
  const StepTimes* before = nullptr;
  for (const StepTimes& step : times.steps) {
    check(step, times, std::exchange(before, &step));
    lines += written(to_json(step));
  }
  return lines;
}

RunTimes times_from_json_lines(const std::string& text) {
  RunTimes run;
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    try {
      take(text.substr(begin, end - begin), number == 1, run);
    } catch (const std::exception& error) {
      refuse("line " + std::to_string(number) + ": " + error.what());
    }
    begin = end + 1;
  }
  if (number == 0) refuse("line 1: the file is empty");
  return run;
}

}  // namespace lockstep::timing
