#include "predict/card_replay.h"

namespace lockstep::predict {

void CardReplay::change(const std::string& category, int64_t bytes) {
  live_.bytes += bytes;
  live_.by_category[category] += bytes;
  if (live_.bytes > peak_.bytes) peak_ = live_;
}

void CardReplay::change(const std::vector<StepMemory::Change>& changes) {
  for (const auto& [category, bytes] : changes) change(*category, bytes);
}

void CardReplay::pass_by(const std::string& category, int64_t bytes) {
  change(category, bytes);
  change(category, -bytes);
}

int64_t CardReplay::live(const std::string& category) const {
  const auto found = live_.by_category.find(category);
  return found == live_.by_category.end() ? 0 : found->second;
}

}  // namespace lockstep::predict
