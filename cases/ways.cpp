// The ways through DataParallel, DDP and Horovod that a sweep names.
#include <cstdio>
#include <cstdlib>
#include <set>

#include "cases/each_once.h"
#include "cases/sweep.h"

namespace lockstep::cases {
namespace {

// How a reducer's buckets are sent; those without such a choice have the plain way.
std::vector<std::pair<std::string, bool>> ways_to_send(const std::string& reducer,
                                                       const Sweep& sweep) {
  if (reducer != "bucketed") return {{"allreduce", true}};
  std::vector<std::pair<std::string, bool>> ways;
  for (const std::string& hook : each_once(sweep.comm_hooks)) {
    for (const std::string& overlap : each_once(sweep.overlap)) {
      ways.emplace_back(hook, overlap == "yes");
    }
  }
  return ways;
}

}  // namespace

std::string text_of(double value) {
  char text[32];
  for (int figures = 6; figures <= 17; ++figures) {
    std::snprintf(text, sizeof(text), "%.*g", figures, value);
    if (std::strtod(text, nullptr) == value) break;
  }
  return text;
}

std::string DpWay::mode() const {
  std::string mode = "dp";
  if (reduce != "auto") mode += "-" + reduce;
  if (replicate != "cached") mode += "-" + replicate;
  if (loss != "primary") mode += "-loss-" + loss;
  if (primary_share != 1) mode += "-share-" + text_of(primary_share);
  return mode;
}

std::vector<DpWay> dp_ways(const Sweep& sweep) {
  std::vector<DpWay> ways;
  std::set<std::string> known;
  for (const std::string& reduce : sweep.dp_reduce) {
    for (const std::string& replicate : sweep.replicate) {
      for (const std::string& loss : sweep.dp_loss) {
        for (const double share : sweep.primary_share) {
          const DpWay way = {reduce, replicate, loss, share};
          if (known.insert(way.mode()).second) ways.push_back(way);
        }
      }
    }
  }
  return ways;
}

std::vector<DdpWay> ddp_ways(const Sweep& sweep) {
  const std::vector<double> caps = each_once(sweep.bucket_caps_mb);
  std::vector<DdpWay> ways;
  for (const std::string& reducer : each_once(sweep.reducers)) {
    for (const double cap : caps) {
      // Without buckets one cap is as another.
      if (!DdpWay{reducer}.has_buckets() && cap != caps.front()) continue;
      for (const auto& [hook, overlap] : ways_to_send(reducer, sweep)) {
        for (const std::string& backend : each_once(sweep.backends)) {
          for (const std::string& link : each_once(sweep.links)) {
            ways.push_back(
                {reducer, backend, cap, link, sweep.ranks_per_host, hook, overlap});
          }
        }
      }
    }
  }
  return ways;
}

std::vector<std::pair<DdpWay, HorovodWay>> horovod_ways(const Sweep& sweep) {
  std::vector<std::pair<DdpWay, HorovodWay>> ways;
  for (const double threshold : each_once(sweep.fusion_thresholds_mb)) {
    for (const double cycle : each_once(sweep.cycle_times_ms)) {
      for (const std::string& fp16 : each_once(sweep.fp16_allreduce)) {
        for (const std::string& backend : each_once(sweep.backends)) {
          for (const std::string& link : each_once(sweep.links)) {
            DdpWay place;
            place.backend = backend;
            place.link = link;
            place.ranks_per_host = sweep.ranks_per_host;
            ways.push_back({place, {threshold, cycle, fp16 == "yes"}});
          }
        }
      }
    }
  }
  return ways;
}

}  // namespace lockstep::cases
