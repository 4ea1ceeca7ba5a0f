#include "tracing/collective_lanes.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace lockstep::tracing {
namespace {

using Json = nlohmann::ordered_json;

// No thread's: Linux counts them to 2^22.
constexpr int64_t kFirstLane = int64_t{1} << 24;

Json metadata(const char* name, int64_t lane, const Json& args, double at) {
  return {{"name", name},    {"ph", "M"},   {"ts", at},
          {"pid", getpid()}, {"tid", lane}, {"args", args}};
}

}  // namespace

void CollectiveLanes::begin() {
  steady_ = Clock::now();
  wall_ = std::chrono::system_clock::now();
  if (group_ != nullptr) group_->keep_spans(true);
}

void CollectiveLanes::step() { steps_.push_back(Clock::now()); }

void CollectiveLanes::end() {
  if (group_ != nullptr) group_->keep_spans(false);
}

void CollectiveLanes::take() {
  if (group_ != nullptr) spans_ = group_->take_spans();
  group_ = nullptr;
  std::sort(spans_.begin(), spans_.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
}

void CollectiveLanes::add_to(Json& trace, int rank) const {
  // Kineto's microseconds count from a moment of its own.
  const auto base_ns = trace.value("baseTimeNanoseconds", int64_t{0});
  const auto us_of = [&](Clock::time_point moment) {
    const std::chrono::nanoseconds wall = wall_.time_since_epoch() + (moment - steady_);
    return static_cast<double>(wall.count() - base_ns) / 1e3;
  };
  Json& events = trace.at("traceEvents");
  std::vector<Clock::time_point> free;  // when each lane is
  std::map<std::string, int> so_far;    // of the step, by name
  auto step = steps_.begin();
  for (const comm::CollectiveSpan& span : spans_) {
    for (; step != steps_.end() && *step <= span.begin; ++step) so_far.clear();
    const auto found = std::find_if(free.begin(), free.end(),
                                    [&](auto end) { return end <= span.begin; });
    const int64_t place = found - free.begin();
    const int64_t lane = kFirstLane + place;
    if (found == free.end()) {
      free.push_back(span.end);
      std::string name = "card " + std::to_string(rank) + " communication";
      if (place > 0) name += " " + std::to_string(place + 1);
      const double at = us_of(span.begin);
      events.push_back(metadata("thread_name", lane, {{"name", name}}, at));
      events.push_back(metadata("thread_sort_index", lane, {{"sort_index", lane}}, at));
    } else {
      *found = span.end;
    }
    const std::string name =
        std::string(span.name) + " " + std::to_string(so_far[span.name]++);
    events.push_back({{"ph", "X"},
                      {"cat", "collective"},
                      {"name", name},
                      {"pid", getpid()},
                      {"tid", lane},
                      {"ts", us_of(span.begin)},
                      {"dur", us_of(span.end) - us_of(span.begin)},
                      {"args", {{"bytes", span.bytes}}}});
  }
}

}  // namespace lockstep::tracing
