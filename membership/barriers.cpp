#include "membership/barriers.h"

#include <sstream>
#include <vector>

#include "membership/gathering.h"

namespace lockstep::membership {

Barriers::Outcome Barriers::come(int64_t barrier, int index) {
  const auto given_up = given_up_.find(barrier);
  if (given_up != given_up_.end()) return given_up->second;
  std::set<int>& came = came_[barrier];
  came.insert(index);
  if (static_cast<int>(came.size()) < count_) return std::nullopt;
  came_.erase(barrier);
  return "";
}

Barriers::Outcome Barriers::give_up(int64_t barrier, std::chrono::milliseconds waited) {
  const auto found = came_.find(barrier);
  // It is over, and whoever asks has been told so meanwhile.
  if (found == came_.end()) return std::nullopt;
  std::vector<int> came, missing;
  for (int index = 0; index < count_; ++index) {
    (found->second.count(index) > 0 ? came : missing).push_back(index);
  }
  std::ostringstream why;
  why << "monitored_barrier: waited " << static_cast<double>(waited.count()) / 1000
      << " s for " << list_of(kind_, missing) << " of " << count_
      << "; came:" << list_of("", came);
  came_.erase(found);
  return given_up_[barrier] = why.str();
}

}  // namespace lockstep::membership
