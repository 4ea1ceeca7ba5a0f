#include "negotiation/timeline.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "files/output_file.h"

namespace lockstep::negotiation {
namespace {

using Json = nlohmann::ordered_json;

// A hundred bytes each: a longer run's timeline is that of its beginning.
constexpr size_t kMostEvents = 1'000'000;

std::string upper(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

void Timeline::add(char phase, const std::string& name, const std::string& tensor,
                   const Request* request) {
  if (!enabled()) return;
  int64_t lane = 0;
  if (!tensor.empty()) {
    const auto [found, is_new] = lane_of_.try_emplace(tensor, 0);
    if (is_new) {
      lanes_.push_back(tensor);
      depth_.push_back(0);
      found->second = std::ssize(lanes_);
    }
    lane = found->second;
    int64_t& depth = depth_[static_cast<size_t>(lane - 1)];
    // What began while there was room ends, too.
    if (phase == 'E') {
      if (depth == 0) return;
      --depth;
    }
    if (events_.size() >= kMostEvents && phase != 'E') {
      full_ = true;
      return;
    }
    if (phase == 'B') ++depth;
  } else if (events_.size() >= kMostEvents) {
    full_ = true;
    return;
  }
  const std::chrono::duration<double, std::micro> since =
      std::chrono::steady_clock::now() - begin_;
  events_.push_back({phase, name, lane, request == nullptr ? -1 : request->elements(),
                     since.count()});
}

void Timeline::negotiate_start(const Request& request) {
  add('B', "NEGOTIATE_" + upper(to_string(request.operation)), request.name);
}

void Timeline::negotiate_rank_ready(const std::string& name, int rank) {
  add('X', std::to_string(rank), name);
}

void Timeline::negotiate_end(const std::string& name) { add('E', "", name); }

void Timeline::start(const std::vector<Request>& tensors) {
  for (const Request& tensor : tensors) {
    add('B', upper(to_string(tensor.operation)), tensor.name, &tensor);
  }
}

void Timeline::activity_start(const std::vector<Request>& tensors,
                              const std::string& activity) {
  const std::string name = upper(activity);
  for (const Request& tensor : tensors) add('B', name, tensor.name);
}

void Timeline::activity_end(const std::vector<Request>& tensors) {
  for (const Request& tensor : tensors) add('E', "", tensor.name);
}

void Timeline::end(const std::vector<Request>& tensors) { activity_end(tensors); }

void Timeline::mark_cycle() {
  if (marks_cycles_) add('i', "CYCLE_START", "");
}

std::string Timeline::text() const {
  Json events = Json::array();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    events.push_back({{"name", "process_name"},
                      {"ph", "M"},
                      {"pid", i + 1},
                      {"args", {{"name", lanes_[i]}}}});
    events.push_back({{"name", "process_sort_index"},
                      {"ph", "M"},
                      {"pid", i + 1},
                      {"args", {{"sort_index", i + 1}}}});
  }
  double last = 0;
  for (const Event& event : events_) {
    last = std::round(event.us * 1000) / 1000;
    Json json = {{"ph", std::string(1, event.phase)}};
    if (event.phase != 'E') json["name"] = event.name;
    json["ts"] = last;
    json["pid"] = event.lane;
    json["tid"] = 0;
    if (event.phase == 'X') json["dur"] = 0;
    if (event.phase == 'i') json["s"] = "g";
    if (event.elements >= 0) json["args"] = {{"elements", event.elements}};
    events.push_back(std::move(json));
  }
  for (size_t lane = 0; lane < depth_.size(); ++lane) {
    for (int64_t open = depth_[lane]; open > 0; --open) {
      events.push_back({{"ph", "E"}, {"ts", last}, {"pid", lane + 1}, {"tid", 0}});
    }
  }
  Json trace = {{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}};
  if (full_) {
    trace["otherData"] = {
        {"note", "the first " + std::to_string(kMostEvents) + " events of the run"}};
  }
  // A name may be any bytes.
  return trace.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void Timeline::write() {
  if (!enabled()) return;
  files::write_whole(text(), path_);
  path_.clear();
}

}  // namespace lockstep::negotiation
