#include "tests/kernel_overlap.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

using nlohmann::json;
using Range = std::pair<double, double>;  // microseconds

Range range_of(const json& event) {
  const double begin = event.at("ts");
  return {begin, begin + event.at("dur").get<double>()};
}

std::vector<Range> united(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<Range> result;
  for (const Range& range : ranges) {
    if (!result.empty() && range.first <= result.back().second) {
      result.back().second = std::max(result.back().second, range.second);
    } else {
      result.push_back(range);
    }
  }
  return result;
}

double length(const std::vector<Range>& ranges) {
  double sum = 0;
  for (const auto& [begin, end] : ranges) sum += end - begin;
  return sum;
}

bool in_any(const std::vector<Range>& ranges, double moment) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return range.first <= moment && moment < range.second;
  });
}

}  // namespace

KernelOverlap kernel_overlap(const json& trace) {
  std::vector<Range> stages;  // "backward", on the host
  std::map<int64_t, double> launches;
  std::vector<json> kernels;
  for (const json& event : trace.at("traceEvents")) {
    if (event.value("ph", "") != "X") continue;
    const std::string category = event.value("cat", "");
    if (category == "kernel") kernels.push_back(event);
    if (category == "user_annotation" && event.at("name") == "backward") {
      stages.push_back(range_of(event));
    }
    const bool call = category == "cuda_runtime" || category == "cuda_driver";
    if (call && event.contains("args") && event["args"].contains("correlation")) {
      launches[event["args"]["correlation"]] = event.at("ts");
    }
  }
  KernelOverlap overlap;
  std::vector<Range> nccl, backward;
  for (const json& kernel : kernels) {
    const std::string name = kernel.at("name");
    if (name.rfind("nccl", 0) == 0) {
      nccl.push_back(range_of(kernel));
      continue;
    }
    const auto launch = launches.find(kernel.at("args").at("correlation"));
    if (launch == launches.end()) {
      throw std::runtime_error("the trace has no call that launched " + name);
    }
    if (in_any(stages, launch->second)) backward.push_back(range_of(kernel));
  }
  overlap.collectives = static_cast<int>(nccl.size());
  overlap.backward = static_cast<int>(backward.size());
  const std::vector<Range> a = united(nccl), b = united(backward);
  overlap.nccl_us = length(a);
  overlap.backward_us = length(b);
  std::vector<Range> all = a;
  all.insert(all.end(), b.begin(), b.end());
  overlap.both_us = overlap.nccl_us + overlap.backward_us - length(united(all));
  return overlap;
}

}  // namespace lockstep
