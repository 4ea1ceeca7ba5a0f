#include "gantt/carried_layers.h"

#include <algorithm>

namespace lockstep::gantt {

std::vector<CarriedLayers::Run> CarriedLayers::runs_of(int64_t elements) const {
  std::vector<Run> runs;
  for (int last = 0; last < static_cast<int>(layers_.size()); ++last) {
    int64_t sum = 0;
    for (int first = last; first >= 0 && !carried_[first] && sum < elements; --first) {
      sum += layers_[first].elements;
      if (sum == elements) runs.push_back({first, last});
    }
  }
  return runs;
}

bool CarriedLayers::goes_on(const Run& run) const {
  if (has_before_) {
    return run.last == before_.first - 1 || run.first == before_.last + 1;
  }
  return run.first == 0 || run.last == static_cast<int>(layers_.size()) - 1;
}

std::string CarriedLayers::next(int64_t elements) {
  std::vector<Run> runs = runs_of(elements);
  if (runs.size() > 1)
    std::erase_if(runs, [&](const Run& run) { return !goes_on(run); });
  if (runs.size() != 1) return "";
  has_before_ = true;
  before_ = runs[0];
  std::fill(carried_.begin() + before_.first, carried_.begin() + before_.last + 1,
            true);
  std::string text = std::to_string(before_.last);
  if (before_.first < before_.last) text += " to " + std::to_string(before_.first);
  return text;
}

}  // namespace lockstep::gantt
