#include "buckets/merged_trace.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "charts/words.h"

namespace lockstep::buckets {
namespace {

using nlohmann::json;
using timing::BucketTimes;
using timing::RunTimes;
using timing::StepTimes;

// The lanes of a rank, as tids. Beyond the compute lane one for each collective that
// is under way while others are.
constexpr int kCompute = 0, kCommunication = 1;

class RankTrace {
 public:
  RankTrace(const RunTimes& times, int rank, double origin_us, json& events)
      : rank_(rank), origin_us_(origin_us), events_(events) {
    const auto at = static_cast<size_t>(rank);
    const timing::ClockOffset& clock = times.clocks[at];
    const std::string card = "card " + std::to_string(rank);
    name("process_name", kCompute,
         {{"name", "rank " + std::to_string(rank) + ", host " + times.hosts[at]},
          {"clock_offset_us", clock.offset_us},
          {"clock_uncertainty_us", clock.uncertainty_us}});
    name("process_sort_index", kCompute, {{"sort_index", rank}});
    name("thread_name", kCompute, {{"name", card}});
  }

  // `end_us`: when the next step begins, or the last one's gradients are there.
  void add(const StepTimes& step, double end_us) {
    range(kCompute, "user_annotation", "step " + std::to_string(step.step),
          step.begin_us, end_us);
    range(kCompute, "user_annotation", "forward", step.begin_us, step.backward_us);
    range(kCompute, "user_annotation", "backward", step.backward_us,
          step.backward_end_us);
    range(kCompute, "user_annotation", "exposed_comm", step.backward_end_us,
          step.reduced_us);
    // And whatever else is between the steps: the next batch.
    range(kCompute, "user_annotation", "optimizer", step.reduced_us, end_us);
    for (size_t i = 0; i < step.buckets.size(); ++i) add(step, i);
  }

 private:
  void add(const StepTimes& step, size_t i) {
    const BucketTimes& bucket = step.buckets[i];
    const json arguments = {{"bucket", i}, {"bytes", bucket.bytes}};
    json ready =
        event("i", "bucket", "ready " + std::to_string(i), kCompute, bucket.ready_us);
    ready["s"] = "t";
    ready["args"] = arguments;
    events_.push_back(std::move(ready));
    range(free_lane(bucket), "collective", "all_reduce " + std::to_string(i),
          bucket.launch_us, bucket.finish_us, arguments);
  }

  // The first lane on which nothing is under way any more.
  int free_lane(const BucketTimes& bucket) {
    size_t lane = 0;
    while (lane < free_us_.size() && free_us_[lane] > bucket.launch_us) ++lane;
    if (lane == free_us_.size()) {
      free_us_.push_back(0);
      std::string text = "card " + std::to_string(rank_) + " communication";
      if (lane > 0) text += " " + std::to_string(lane + 1);
      name("thread_name", kCommunication + static_cast<int>(lane), {{"name", text}});
    }
    free_us_[lane] = bucket.finish_us;
    return kCommunication + static_cast<int>(lane);
  }

  json event(const char* phase, const char* category, const std::string& name, int lane,
             double us) const {
    return {{"ph", phase},  {"cat", category},
            {"name", name}, {"pid", rank_},
            {"tid", lane},  {"ts", charts::rounded(us - origin_us_, 15)}};
  }

  void range(int lane, const char* category, const std::string& name, double from_us,
             double to_us, const json& arguments = nullptr) {
    json one = event("X", category, name, lane, from_us);
    one["dur"] = std::max(0.0, to_us - from_us);
    if (!arguments.is_null()) one["args"] = arguments;
    events_.push_back(std::move(one));
  }

  void name(const char* what, int lane, const json& arguments) {
    events_.push_back({{"ph", "M"},
                       {"name", what},
                       {"pid", rank_},
                       {"tid", lane},
                       {"ts", 0},
                       {"args", arguments}});
  }

  int rank_;
  double origin_us_;
  json& events_;
  std::vector<double> free_us_;  // of each communication lane
};

}  // namespace

MergedTrace merged_trace(const RunTimes& times, int64_t middle, size_t most_events) {
  std::map<int64_t, size_t> events_of;  // each step's
  for (const StepTimes& line : times.steps) {
    events_of[line.step] += 5 + 2 * line.buckets.size();
  }
  MergedTrace trace;
  trace.of_steps = std::ssize(events_of);
  // Outwards from the middle, one step on each side in turn.
  auto after = events_of.lower_bound(middle), before = after;
  size_t events = 0;
  const auto fits = [&](auto step) {
    return events == 0 || events + step->second <= most_events;
  };
  bool grows = true;
  while (grows) {
    grows = false;
    if (after != events_of.end() && fits(after)) {
      events += (after++)->second;
      grows = true;
    }
    if (before != events_of.begin() && fits(std::prev(before))) {
      events += (--before)->second;
      grows = true;
    }
  }
  trace.steps = std::distance(before, after);
  if (trace.steps > 0) {
    trace.first_step = before->first;
    trace.last_step = std::prev(after)->first;
  }
  std::vector<std::vector<const StepTimes*>> ranks(
      static_cast<size_t>(times.world_size));
  double origin_us = 0;
  for (const StepTimes& line : times.steps) {
    if (line.step < trace.first_step || line.step > trace.last_step) continue;
    const bool first = std::all_of(ranks.begin(), ranks.end(),
                                   [](const auto& lines) { return lines.empty(); });
    origin_us = first ? line.begin_us : std::min(origin_us, line.begin_us);
    ranks[static_cast<size_t>(line.rank)].push_back(&line);
  }
  json all = json::array();
  for (int rank = 0; rank < times.world_size; ++rank) {
    RankTrace one(times, rank, origin_us, all);
    const auto& lines = ranks[static_cast<size_t>(rank)];
    for (size_t i = 0; i < lines.size(); ++i) {
      const double reduced_us = lines[i]->reduced_us;
      one.add(*lines[i], i + 1 < lines.size()
                             ? std::max(reduced_us, lines[i + 1]->begin_us)
                             : reduced_us);
    }
  }
  trace.json = json{{"displayTimeUnit", "ms"}, {"traceEvents", std::move(all)}}.dump(
                   -1, ' ', false, json::error_handler_t::replace) +
               "\n";
  return trace;
}

}  // namespace lockstep::buckets
