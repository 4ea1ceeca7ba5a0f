// Says of tensors that some ranks have submitted and others have not for too long: what
// waits, and for whom (horovod/common/stall_inspector.cc). Ranks that submit different
// tensors, or of which one has stopped, would else wait for ever without a word.
//
// Has no clock of its own: it is asked with the time.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "negotiation/settings.h"

namespace lockstep::negotiation {

class StallInspector {
 public:
  using Clock = std::chrono::steady_clock;

  struct Waiting {
    std::string name;
    Clock::time_point since;   // its first rank submitted it
    std::vector<int> missing;  // ranks that have not
  };
  struct Findings {
    std::string warning;   // one line; empty: nothing to tell
    std::string shutdown;  // the error to end by; empty: go on
  };

  explicit StallInspector(const Settings& settings);

  // `waiting` in the order in which they began to. While a tensor waits it is warned of
  // once in each warning time.
  Findings inspect(const std::vector<Waiting>& waiting, Clock::time_point now);

  // When there may be something to tell of a tensor that waits since then.
  std::optional<Clock::time_point> due(Clock::time_point oldest) const;

 private:
  bool enabled_;
  Clock::duration warning_;
  Clock::duration shutdown_;  // 0: never
  std::optional<Clock::time_point> warned_;
};

}  // namespace lockstep::negotiation
