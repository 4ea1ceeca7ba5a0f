// What member 0 knows of the monitored barriers: who has come to each, and which of
// them was given up. Barriers are counted, by each member for itself, from 1.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace lockstep::membership {

class Barriers {
 public:
  Barriers(std::string kind, int count) : kind_(std::move(kind)), count_(count) {}

  // Why it was given up; empty: all have come. nullopt: some have not yet.
  using Outcome = std::optional<std::string>;

  Outcome come(int64_t barrier, int index);
  // A member has waited so long for the others, and does not wait longer.
  Outcome give_up(int64_t barrier, std::chrono::milliseconds waited);

 private:
  std::string kind_;
  int count_;
  std::map<int64_t, std::set<int>> came_;  // to those that are not over
  std::map<int64_t, std::string> given_up_;
};

}  // namespace lockstep::membership
