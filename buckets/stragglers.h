// Which rank holds up the others, and what that costs them: throughout, now and then,
// or in a step of its own. From when buckets were ready, never from how long a step or
// a collective took, which an all_reduce makes equal.
//
// A name is given only for what the noise of the run's other ranks and steps does not
// explain, nor the uncertainty of the clocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "buckets/lateness.h"

namespace lockstep::buckets {

struct Straggler {
  enum class Kind { throughout, often, single };
  int rank = 0;
  Kind kind = Kind::single;
  std::vector<int64_t> steps;     // in which it was late; none where it always is
  double late_us = 0;             // the median over those
  double cost_us = 0;             // the mean over those: what the others waited for it
  Phase phase = Phase::backward;  // that most of it is from
  double phase_us = 0;
};

struct Verdict {
  std::vector<Straggler> stragglers;  // whoever costs most of all steps first
  double single_us = 0;               // a step's lateness beyond this is no noise
  int64_t compared = 0;               // steps
  // Sentences: what was seen and names nobody, and what cannot be known from this run.
  std::vector<std::string> notes;
};

// Fewer steps than this name nobody.
inline constexpr int64_t kFewestSteps = 30;

Verdict find_stragglers(const Comparison& comparison);

// "3, 40-70, 99".
std::string ranges_of(const std::vector<int64_t>& steps);

}  // namespace lockstep::buckets
